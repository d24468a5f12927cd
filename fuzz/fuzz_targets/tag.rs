//! A text is a tag that shows itself as it was written, or it is refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(tag) = text.parse::<samovar_cache::Tag>() {
        assert_eq!(tag.to_string(), text);
    }
});
