//! Which of a cluster's 16,384 slots a key is in: CRC-16 (XMODEM) of the key, or of what stands between its first `{` and the
//! next `}`, if that is something. <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>

/// Slots of a cluster.
pub(super) const SLOTS: usize = 16_384;

/// The slot of a key.
pub(super) fn slot(key: &[u8]) -> usize {
    usize::from(crc16(tagged(key))) % SLOTS
}

fn tagged(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&byte| byte == b'{') else { return key };
    let rest = &key[open + 1..];
    match rest.iter().position(|&byte| byte == b'}') {
        Some(len) if len > 0 => &rest[..len],
        _ => key,
    }
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 { shifted } else { shifted ^ 0x1021 }
        })
    })
}
