use super::*;

fn address(buffer: &AlignedBuffer) -> usize {
    buffer.as_slice().as_ptr().addr()
}

#[test]
fn a_buffer_starts_at_a_page_however_it_grows() {
    let mut buffer = AlignedBuffer::with_capacity(10);
    let mut model = Vec::new();
    for step in 0..300_usize {
        let bytes: Vec<u8> = (0..step * 7 % 1000).map(|at| u8::try_from((at + step) % 251).unwrap()).collect();
        buffer.extend_from_slice(&bytes);
        model.extend_from_slice(&bytes);
        assert_eq!(buffer.as_slice(), model);
        assert_eq!(address(&buffer) % PAGE, 0);
    }
    assert_eq!(buffer.len(), model.len());
}

#[test]
fn a_buffer_with_capacity_does_not_move_until_it_is_full() {
    let mut buffer = AlignedBuffer::with_capacity(3 * PAGE - 1);
    let start = address(&buffer);
    buffer.extend_from_slice(&vec![1; 3 * PAGE]);
    assert_eq!((address(&buffer), buffer.capacity()), (start, 3 * PAGE));
}
