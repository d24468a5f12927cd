//! Codings and entity tags (RFC 9110).

use axum::http::{
    HeaderMap,
    header::{ACCEPT_ENCODING, IF_NONE_MATCH},
};
use samovar_engine::Coding;

/// Whether stored bytes that are compressed can go out as they are.
pub(crate) fn accepts_zstd(headers: &HeaderMap) -> bool {
    let mut any = false;
    for element in elements(headers, &ACCEPT_ENCODING) {
        let (coding, parameters) = element.split_once(';').unwrap_or((element, ""));
        let wanted = !is_zero(parameters);
        match coding.trim() {
            coding if coding.eq_ignore_ascii_case("zstd") => return wanted,
            "*" => any = wanted,
            _ => {}
        }
    }
    any
}

fn is_zero(parameters: &str) -> bool {
    let weight = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let mut weight = weight.filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    weight.next().is_some_and(|(_, q)| q.trim().parse::<f32>().is_ok_and(|q| q == 0.0))
}

/// Equal content has an equal tag, whoever computed it; each coding has its own.
pub(crate) fn entity_tag(content_hash: u64, coding: Coding) -> String {
    match coding {
        Coding::Identity => format!("\"{content_hash:016x}\""),
        Coding::Zstd => format!("\"{content_hash:016x}-zstd\""),
    }
}

/// Whether the client has this content already.
pub(crate) fn is_unchanged(headers: &HeaderMap, entity_tag: &str) -> bool {
    elements(headers, &IF_NONE_MATCH)
        .any(|given| given == "*" || given.strip_prefix("W/").unwrap_or(given) == entity_tag)
}

/// The elements of a list that may be spread over several lines.
fn elements<'h>(
    headers: &'h HeaderMap,
    name: &axum::http::HeaderName,
) -> impl Iterator<Item = &'h str> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',').map(str::trim))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: axum::http::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, axum::http::HeaderValue::from_static(value))])
    }

    #[test]
    fn zstd_goes_only_to_those_who_take_it() {
        let accepts = |value| accepts_zstd(&headers(ACCEPT_ENCODING, value));
        for yes in ["zstd", "gzip, deflate, br, ZSTD", "gzip;q=1.0, zstd;q=0.3", "*", "br, *;q=0.1"]
        {
            assert!(accepts(yes), "{yes}");
        }
        for no in ["", "gzip, br", "zstd;q=0", "zstd; q=0.000, *", "*;q=0", "zstdx"] {
            assert!(!accepts(no), "{no}");
        }
        assert!(!accepts_zstd(&HeaderMap::new()));
    }

    #[test]
    fn an_entity_tag_is_found_in_a_list() {
        let tag = entity_tag(0xab, Coding::Identity);
        let unchanged = |value| is_unchanged(&headers(IF_NONE_MATCH, value), &tag);
        assert!(unchanged("\"00000000000000ab\""));
        assert!(unchanged("\"x\", W/\"00000000000000ab\""));
        assert!(unchanged("*"));
        assert!(!unchanged("\"00000000000000ab-zstd\""));
        assert!(!unchanged("00000000000000ab"));
    }
}
