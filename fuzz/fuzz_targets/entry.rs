//! Stored bytes are decoded or refused, whatever they are.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = samovar_cache::check_stored_entry(bytes);
});
