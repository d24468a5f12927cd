//! Signatures by a secret that two systems share: HMAC-SHA256.

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use hmac::{Hmac, KeyInit, Mac};
use samovar_widgets::SigningSecret;
use sha2::Sha256;

const BYTES: usize = 32;
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Of the parts one after the other, in hexadecimal digits.
pub(crate) fn sign(secret: &SigningSecret, parts: &[&[u8]]) -> String {
    let bytes = mac(secret, parts).finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether `given`, in hexadecimal digits or in base64, is the signature of the parts. How long it
/// takes says nothing about how much of it is right.
pub(crate) fn is_signed(secret: &SigningSecret, parts: &[&[u8]], given: &str) -> bool {
    let given = decode(given);
    given.is_some_and(|given| mac(secret, parts).verify_slice(&given).is_ok())
}

fn mac(secret: &SigningSecret, parts: &[&[u8]]) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.exposed().as_bytes());
    let mut mac = mac.expect("a key may have any length");
    parts.iter().for_each(|part| mac.update(part));
    mac
}

/// The two forms differ in their length.
fn decode(given: &str) -> Option<Vec<u8>> {
    let bytes = if given.len() == 2 * BYTES { hex(given)? } else { BASE64.decode(given).ok()? };
    (bytes.len() == BYTES).then_some(bytes)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|it| u8::try_from(it).ok());
    text.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? * 16 + digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SigningSecret {
        text.parse().expect("long enough")
    }

    /// The example of GitHub's documentation, and another one worked out with `openssl`.
    #[test]
    fn signatures_are_those_of_others() {
        let github = secret("It's a Secret to Everybody");
        let signed = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(sign(&github, &[b"Hello, World!"]), signed);
        assert_eq!(sign(&github, &[b"Hello, ", b"World!"]), signed);
        for given in [
            signed,
            &signed.to_uppercase(),
            "dXEH6g6yUJ/CESIczphLijdXC211hsIsRvQ3nIsEPhc=",
            "dXEH6g6yUJ/CESIczphLijdXC211hsIsRvQ3nIsEPhc",
        ] {
            assert!(is_signed(&github, &[b"Hello, World!"], given), "{given}");
        }
    }

    #[test]
    fn whatever_else_is_given_is_no_signature() {
        let key = secret("s3cr3t-s3cr3t");
        let signed = sign(&key, &[b"body"]);
        let another = sign(&secret("s3cr3t-s3cr3T"), &[b"body"]);
        let long = format!("{signed}00");
        let wrong = ["", "=", "sha256=", &signed[..62], &long, &another, "ü", &"zz".repeat(32)];
        for given in wrong {
            assert!(!is_signed(&key, &[b"body"], given), "{given}");
        }
        assert!(!is_signed(&key, &[b"bodY"], &signed));
        assert!(is_signed(&key, &[b"body"], &signed));
    }
}
