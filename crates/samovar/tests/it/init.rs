//! `samovar init` writes what the check has nothing against, and nothing over anything.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::{
    http::get,
    shop::{Served, Shop, command_in},
};

/// A folder in which there is nothing, and the means to run commands in it.
fn empty() -> (Shop, std::path::PathBuf) {
    let shop = Shop::new();
    let folder = shop.path("empty");
    fs::create_dir(&folder).expect("made");
    (shop, folder)
}

fn ending(folder: &std::path::Path, arguments: &[&str]) -> (Option<i32>, String) {
    let process =
        samovar_testkit::Process::spawn(command_in(folder, arguments)).expect("it starts");
    let status = process.wait(crate::shop::LIMIT).expect("it ends");
    (status.code(), process.stdout() + &process.stderr())
}

#[test]
fn what_it_writes_for_a_source_passes_the_check_and_is_served() {
    let (_shop, folder) = empty();
    let (code, said) = ending(&folder, &["init", "--source", "sqlite://../shop.db"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("wrote samovar.toml") && said.contains("samovar check"), "{said}");
    let (code, said) = ending(&folder, &["check"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("nothing wrong with 1 widget") && !said.contains("warning"), "{said}");
    let command = command_in(&folder, &["serve", "--listen", "127.0.0.1:0"]);
    let served = Served::of(samovar_testkit::Process::spawn(command).expect("it starts"));
    let answer = get(&served.address, "/v1/widgets/hello?tenant=main", &[]);
    assert_eq!(answer.json()["data"]["rows"][0]["samovar"], "hot");
}

#[test]
fn a_pack_comes_with_a_database_and_passes_the_check() {
    let (_shop, folder) = empty();
    let (code, said) = ending(&folder, &["init", "--pack", "commerce"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("generated 20425 orders of north"), "{said}");
    for (command, told) in [
        (&["check"][..], "nothing wrong with 8 widgets"),
        (&["capture", "install"], "installed in shop"),
    ] {
        let (code, said) = ending(&folder, command);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(told), "{said}");
    }
}

#[test]
fn nothing_is_written_over_and_a_wrong_source_leaves_nothing() {
    let (shop, folder) = empty();
    let (code, said) = ending(&folder, &["init", "--source", "oracle://db/shop"]);
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(ending(&folder, &["init"]).0, Some(2), "it has to be said over what");
    assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 0);
    let before = fs::read_to_string(shop.path("samovar.toml")).expect("there is one");
    let (code, said) = shop.ending(&["init", "--source", "sqlite://shop.db"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("samovar.toml is there already"), "{said}");
    assert_eq!(fs::read_to_string(shop.path("samovar.toml")).expect("the same"), before);
}

#[test]
fn a_file_with_a_password_is_for_its_owner_alone() {
    let (_shop, folder) = empty();
    let mode = |file: &str| {
        let metadata = fs::metadata(folder.join(file)).expect("written");
        metadata.permissions().mode() & 0o777
    };
    let init =
        |file: &str, url: &str| ending(&folder, &["init", "--config", file, "--source", url]);
    let (code, said) = init("secret.toml", "postgres://anna:letmein@127.0.0.1:1/shop");
    assert_eq!((code, mode("secret.toml")), (Some(0), 0o600), "{said}");
    assert!(!said.contains("letmein") && said.contains("${NAME}"), "{said}");
    let (code, said) = init("named.toml", "postgres://anna:${PASSWORD}@127.0.0.1:1/shop");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(mode("named.toml") & 0o600, 0o600);
    let text = fs::read_to_string(folder.join("named.toml")).expect("written");
    assert!(text.contains("anna:${PASSWORD}@"), "{text}");
}

#[test]
fn shells_take_what_is_printed_for_them() {
    let shop = Shop::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = shop.said(&["completions", shell]);
        assert!(script.contains("invalidate") && script.contains("data-dir"), "{shell}");
    }
    fs::write(shop.path("completions"), shop.said(&["completions", "bash"])).expect("written");
    let mut bash = std::process::Command::new("bash");
    bash.arg("-n").arg(shop.path("completions")).stdin(std::process::Stdio::null());
    let bash = samovar_testkit::Process::spawn(bash).expect("there is a bash");
    bash.wait_for_success(crate::shop::LIMIT).expect("it is a script");
}
