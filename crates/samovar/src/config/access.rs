//! Whether it is asked who asks, and how long a sign-in holds.

use std::net::IpAddr;

use samovar_access::{Settings, limits};
use samovar_widgets::{Problem, Section};

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
    if let Some(listed) = section.texts("proxies") {
        if listed.len() > PROXIES {
            let line = section.line_of("proxies");
            let hint = format!("name {PROXIES} at most: those that connect to this server");
            section.note(Problem::new(line, "`proxies` in [access] names too many").hint(hint));
        }
        for proxy in listed {
            match proxy.value.parse::<IpAddr>() {
                Ok(address) => settings.proxies.push(address.to_canonical()),
                Err(_) => {
                    let reason = format!("`{}` in `proxies` is no address", proxy.value);
                    let problem = Problem::new(proxy.line, reason);
                    section.note(problem.hint("write it like \"10.0.0.5\", without a port"));
                }
            }
        }
    }
    section.finish();
    settings
}
