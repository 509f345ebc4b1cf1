use super::*;

#[test]
fn a_place_is_told_from_any_head_that_is_near() {
    for seq in [1, 7, 40_000, 65_535, 65_536, 65_537, 131_072, 1 << 33] {
        let at = Position { seq, offset: 64 };
        for head_seq in [seq, seq + 1, seq + 20_000, seq + 32_767, seq.saturating_sub(1), seq.saturating_sub(20_000)] {
            assert_eq!(at.place().position(head_seq), at, "seen from {head_seq}");
        }
    }
}

#[test]
fn packed_positions_are_in_the_order_of_the_log() {
    let ends = [64, 80, (1 << 28) - 16];
    let positions = (1..4).flat_map(|seq| ends.map(|offset| Position { seq, offset }));
    let packed: Vec<u64> = positions.clone().map(Position::packed).collect();
    assert!(packed.is_sorted());
    assert!(packed.into_iter().map(Position::unpacked).eq(positions));
}
