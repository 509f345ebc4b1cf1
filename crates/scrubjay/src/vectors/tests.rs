use super::format::{
    DIMENSIONS_MAX, Decoded, HEADER_LEN, METADATA_LEN_MAX, Undecodable, decode, decode_dimensions, encode,
    encode_dimensions, value_len,
};
use super::name::VectorNamespace;
use proptest::prelude::*;

fn encoded(floats: &[f32], metadata: &[u8]) -> Vec<u8> {
    let mut value = Vec::new();
    encode(floats, metadata, &mut value);
    value
}

/// The example of docs/vector-format.md, as it stands there.
fn documented() -> Vec<u8> {
    let document = include_str!("../../../../docs/vector-format.md");
    let example = document.split("```hex").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let columns = example.lines().filter_map(|line| line.split('|').next());
    let digits: String = columns.flat_map(str::chars).filter(char::is_ascii_hexdigit).collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn the_documented_example_is_a_vector() {
    let (floats, metadata) = ([0.5, -1.0, f32::INFINITY], br#"{"tokens":2}"#);
    let value = encoded(&floats, metadata);
    let hex: Vec<String> = value.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(value == documented(), "docs/vector-format.md should have\n{}", hex.join(" "));
    assert_eq!(decode(&value), Ok(Decoded { floats: floats.to_vec(), metadata: metadata.to_vec() }));
}

#[test]
fn a_vector_of_1536_dimensions_takes_its_floats_and_twelve_bytes() {
    assert_eq!(encoded(&[0.25; 1536], &[]).len(), 6_144 + HEADER_LEN);
    assert_eq!(value_len(1536, 7), 6_144 + HEADER_LEN + 7);
}

#[test]
fn what_is_no_vector_is_told_from_a_newer_one() {
    let value = encoded(&[1.0, 2.0], b"me");
    let with = |at: usize, byte: u8| {
        let mut value = value.clone();
        value[at] = byte;
        decode(&value).unwrap_err()
    };
    assert_eq!(with(0, b'J'), Undecodable::NoVector);
    assert_eq!(with(2, 0), Undecodable::NoVector);
    assert_eq!(with(2, 2), Undecodable::Newer(2));
    assert_eq!(with(3, 2), Undecodable::Newer(1));
    assert_eq!(with(4, 1), Undecodable::Lengths);
    assert_eq!(with(4, 0), Undecodable::Lengths);
    assert_eq!(with(7, 0xff), Undecodable::Lengths);
    assert_eq!(with(11, 0xff), Undecodable::Lengths);
    assert_eq!(decode(&[]), Err(Undecodable::NoVector));
    for len in HEADER_LEN..value.len() {
        assert_eq!(decode(&value[..len]), Err(Undecodable::Lengths), "{len} bytes");
    }
    for why in [with(0, 0), with(2, 9), with(4, 1)] {
        assert!(!why.to_string().is_empty());
    }
}

#[test]
fn the_greatest_lengths_are_read_and_none_above() {
    let value = encoded(&vec![1.5; DIMENSIONS_MAX], &vec![7; METADATA_LEN_MAX]);
    let vector = decode(&value).unwrap();
    assert_eq!((vector.floats.len(), vector.metadata.len()), (DIMENSIONS_MAX, METADATA_LEN_MAX));
    let announced = |at: usize, count: usize, len: usize| {
        let mut value = vec![0; len];
        value[..HEADER_LEN].copy_from_slice(&encoded(&[1.0], &[])[..HEADER_LEN]);
        value[at..at + 4].copy_from_slice(&u32::try_from(count).unwrap().to_le_bytes());
        decode(&value)
    };
    assert_eq!(announced(4, DIMENSIONS_MAX + 1, value_len(DIMENSIONS_MAX + 1, 0)), Err(Undecodable::Lengths));
    assert_eq!(announced(8, METADATA_LEN_MAX + 1, value_len(1, METADATA_LEN_MAX + 1)), Err(Undecodable::Lengths));
}

#[test]
fn the_catalogue_reads_what_it_wrote_and_nothing_else() {
    for dimensions in [0, 1, 1536, DIMENSIONS_MAX] {
        assert_eq!(decode_dimensions(&encode_dimensions(dimensions)), Some(dimensions));
    }
    assert_eq!(decode_dimensions(&encode_dimensions(DIMENSIONS_MAX + 1)), None);
    assert_eq!(decode_dimensions(&[1, 0, 0]), None);
    assert_eq!(decode_dimensions(&[1, 0, 0, 0, 0]), None);
}

#[test]
fn a_name_without_a_model_a_version_or_a_tenant_is_refused() {
    let check = |name: Result<VectorNamespace, crate::Error>, message: &str| {
        assert_eq!(name.unwrap_err().to_string(), message);
    };
    check(VectorNamespace::of_model("", "1"), "model is \"\", must not be empty");
    check(VectorNamespace::of_model("m", ""), "version of the model is \"\", must not be empty");
    check(VectorNamespace::of_tenant("m", "1", ""), "tenant is \"\", must not be empty");
    check(VectorNamespace::of_model("m", "1\0"), "namespace is \"m@1\\0\", must not contain a zero byte");
    check(VectorNamespace::of_model(&"m".repeat(254), "1"), "namespace is 256 bytes, must be 1..=255");
    assert!(VectorNamespace::of_model(&"m".repeat(253), "1").is_ok());
}

proptest! {
    #[test]
    fn every_vector_comes_back_bit_by_bit(
        bits in prop::collection::vec(any::<u32>(), 1..300),
        metadata in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let floats: Vec<f32> = bits.iter().map(|bits| f32::from_bits(*bits)).collect();
        let vector = decode(&encoded(&floats, &metadata)).unwrap();
        prop_assert_eq!(vector.floats.iter().map(|float| float.to_bits()).collect::<Vec<_>>(), bits);
        prop_assert_eq!(vector.metadata, metadata);
    }

    #[test]
    fn any_bytes_are_a_vector_that_encodes_to_them_or_none(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut value = encoded(&[1.0], &[]);
        value.extend_from_slice(&bytes);
        value[4] = u8::try_from(bytes.len() / 5 + 1).unwrap();
        for candidate in [&bytes, &value] {
            if let Ok(vector) = decode(candidate) {
                prop_assert_eq!(&encoded(&vector.floats, &vector.metadata), candidate);
            }
        }
    }

    #[test]
    fn different_parts_never_make_the_same_name(
        one in ("[ab@/\\\\]{1,4}", "[ab@/\\\\]{1,4}", "[ab@/\\\\]{0,4}"),
        other in ("[ab@/\\\\]{1,4}", "[ab@/\\\\]{1,4}", "[ab@/\\\\]{0,4}"),
    ) {
        let name = |(model, version, tenant): &(String, String, String)| match tenant.as_str() {
            "" => VectorNamespace::of_model(model, version).unwrap(),
            tenant => VectorNamespace::of_tenant(model, version, tenant).unwrap(),
        };
        prop_assert_eq!(one == other, name(&one) == name(&other));
    }
}
