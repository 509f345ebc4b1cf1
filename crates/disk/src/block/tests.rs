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

#[test]
fn padding_is_zeros_also_where_the_buffer_was_used_before() {
    let mut buffer = AlignedBuffer::default();
    buffer.extend_from_slice(&[0xff; PAGE]);
    buffer.clear();
    assert!(buffer.is_empty());
    buffer.extend_from_slice(b"abc");
    buffer.pad_to(16);
    assert_eq!(buffer.as_slice(), b"abc\0\0\0\0\0\0\0\0\0\0\0\0\0");
    buffer.pad_to(16);
    assert_eq!(buffer.len(), 16);
    buffer.pad_to(PAGE);
    assert_eq!(buffer.as_slice()[16..], [0; PAGE - 16]);
}

#[test]
fn a_buffer_grows_and_shrinks_to_a_length() {
    let mut buffer = AlignedBuffer::default();
    buffer.resize(5);
    assert_eq!(buffer.as_slice(), [0; 5]);
    buffer.as_mut_slice().fill(7);
    buffer.resize(2);
    buffer.resize(4);
    assert_eq!(buffer.as_slice(), [7, 7, 0, 0]);
}
