//! Which of the 16384 slots of a Redis Cluster a key belongs to.

pub(super) const SLOTS: u16 = 16384;

const TABLE: [u16; 256] = table();

/// The slot of a key: of its hash tag where it has one.
pub fn of(key: &[u8]) -> u16 {
    crc16(hashed_part(key)) % SLOTS
}

/// What lies between the first `{` and the next `}`, unless that is nothing.
fn hashed_part(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|byte| *byte == b'{') else { return key };
    let rest = &key[open + 1..];
    match rest.iter().position(|byte| *byte == b'}') {
        Some(length) if length > 0 => &rest[..length],
        _ => key,
    }
}

/// A hash tag that falls into `slot`. Found by trying: about 16384 checksums of a few bytes.
pub(super) fn tag_in(slot: u16) -> String {
    (0u32..)
        .map(|number| number.to_string())
        .find(|tag| crc16(tag.as_bytes()) % SLOTS == slot)
        .expect("numbers reach every slot")
}

/// CRC-16/XMODEM, which is what the Cluster specification names.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| (crc << 8) ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)])
}

const fn table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_specified_one() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(crc16(b""), 0);
    }

    #[test]
    fn known_keys() {
        assert_eq!(of(b"foo"), 12182);
        assert_eq!(of(b"bar"), 5061);
        assert_eq!(of(b"hello"), 866);
    }

    #[test]
    fn only_the_first_tag_that_holds_something_counts() {
        assert_eq!(of(b"{user1000}.following"), of(b"{user1000}.followers"));
        assert_eq!(of(b"{user1000}.following"), of(b"user1000"));
        assert_eq!(hashed_part(b"foo{}{bar}"), b"foo{}{bar}");
        assert_eq!(hashed_part(b"foo{{bar}}zap"), b"{bar");
        assert_eq!(hashed_part(b"foo{bar}{zap}"), b"bar");
        assert_eq!(hashed_part(b"foo{bar"), b"foo{bar");
        assert_eq!(hashed_part(b"\xff{\x00}"), b"\x00");
    }

    #[test]
    fn every_slot_has_a_tag() {
        for slot in [0, 1, 5460, 8191, 16383] {
            assert_eq!(of(format!("beat:{{{}}}", tag_in(slot)).as_bytes()), slot);
        }
    }
}
