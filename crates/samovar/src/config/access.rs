//! Whether it is asked who asks, and how long a sign-in holds.

use std::net::IpAddr;

use samovar_access::{Settings, limits};
use samovar_widgets::Section;

/// Proxies whose word is taken. More are refused.
const PROXIES: usize = 16;

pub(super) fn read_access(root: &mut Section<'_>) -> Settings {
    const MODES: [(&str, bool); 2] = [("open", false), ("tokens", true)];
    let mut settings = Settings::default();
    let Some(mut section) = root.section("access") else { return settings };
    if let Some(required) = section.choice("mode", &MODES) {
        settings.required = required.value;
    }
    if let Some(session) = section.duration("session", limits::SESSION) {
        settings.session = session.value;
    }
    for proxy in section.texts("proxies", 1..=PROXIES).unwrap_or_default() {
        match proxy.value.parse::<IpAddr>() {
            Ok(address) => settings.proxies.push(address.to_canonical()),
            Err(_) => section.refuse(
                "proxies",
                proxy.line,
                &format!("lists `{}`, which is no address", proxy.value),
                "write it like \"10.0.0.5\", without a port",
            ),
        }
    }
    section.finish();
    settings
}
