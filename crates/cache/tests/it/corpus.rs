//! What the fuzzers start from, run as plain tests.

use std::{fs, path::PathBuf};

use samovar_cache::{Tag, check_stored_entry};

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files = fs::read_dir(&folder).expect("a corpus");
    let read = |file: fs::DirEntry| {
        let name = file.file_name().to_string_lossy().into_owned();
        (name, fs::read(file.path()).expect("readable"))
    };
    let mut all: Vec<_> = files.map(|file| read(file.expect("a file"))).collect();
    all.sort();
    assert!(!all.is_empty(), "the corpus of {target} is empty");
    all
}

#[test]
fn stored_entries_are_decoded_or_refused() {
    for (name, bytes) in corpus("entry") {
        let decoded = check_stored_entry(&bytes);
        assert_eq!(decoded.is_ok(), name.starts_with("good"), "{name}: {decoded:?}");
        // Every cut and every flipped bit of a good one is refused.
        if decoded.is_ok() {
            for cut in 0..bytes.len() {
                assert!(check_stored_entry(&bytes[..cut]).is_err(), "{name} cut at {cut}");
            }
            for at in 0..bytes.len() {
                let mut flipped = bytes.clone();
                flipped[at] ^= 0x10;
                assert!(check_stored_entry(&flipped).is_err(), "{name} flipped at {at}");
            }
        }
    }
}

#[test]
fn tags_show_themselves_as_they_were_written_or_are_refused() {
    let mut good = 0;
    for (name, bytes) in corpus("tag") {
        let Ok(text) = std::str::from_utf8(&bytes) else { continue };
        match text.parse::<Tag>() {
            Ok(tag) => {
                assert_eq!(tag.to_string(), text, "{name}");
                good += 1;
            }
            Err(error) => assert!(!error.to_string().is_empty(), "{name}"),
        }
    }
    assert_eq!(good, 5, "the corpus has five tags that are right");
}
