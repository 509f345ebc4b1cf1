use super::*;
use ::bytes::Bytes;
use ::serde::{Deserialize, Serialize};
use proptest::prelude::*;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct User {
    id: u64,
    name: String,
    roles: Vec<String>,
    score: Option<f64>,
    by_day: HashMap<u16, i32>,
}

fn user() -> impl Strategy<Value = User> {
    let by_day = proptest::collection::hash_map(any::<u16>(), any::<i32>(), 0..5);
    let roles = proptest::collection::vec(any::<String>(), 0..4);
    let score = proptest::option::of(-1e9..1e9);
    (any::<u64>(), any::<String>(), roles, score, by_day).prop_map(|(id, name, roles, score, by_day)| User {
        id,
        name,
        roles,
        score,
        by_day,
    })
}

/// Encodes behind other bytes, through a trait object, and returns what was appended.
fn encoded<V: 'static>(codec: &dyn Codec<V>, value: &V) -> Vec<u8> {
    let mut out = b"before".to_vec();
    codec.encode(value, &mut out).unwrap();
    assert_eq!(&out[..6], b"before");
    out.split_off(6)
}

fn check<V: PartialEq + Debug + 'static>(codec: &dyn Codec<V>, value: &V) {
    let bytes = encoded(codec, value);
    assert_eq!(&codec.decode(&bytes).unwrap(), value);
}

#[test]
fn each_codec_has_a_number_of_its_own() {
    let ids = [
        Codec::<User>::id(&Postcard),
        Codec::<User>::id(&Json),
        Codec::<Vec<u8>>::id(&Raw),
        Codec::<Vec<f32>>::id(&Floats),
        Codec::<Vec<f64>>::id(&Floats),
    ];
    assert_eq!(ids, [1, 2, 3, 4, 5]);
}

#[test]
fn bytes_behind_a_value_are_an_error() {
    let mut bytes = encoded(&Postcard, &7_u64);
    bytes.push(0);
    assert!(Codec::<u64>::decode(&Postcard, &bytes).unwrap_err().to_string().contains("1 bytes behind"));
    assert!(Codec::<u64>::decode(&Json, b"7 8").is_err());
}

#[test]
fn floats_of_another_number_are_an_error() {
    assert!(Codec::<Vec<f32>>::decode(&Floats, &[0; 7]).is_err());
    assert!(Codec::<Arc<[f64]>>::decode(&Floats, &[0; 12]).is_err());
    assert!(Codec::<[f64; 2]>::decode(&Floats, &[0; 8]).is_err());
    assert_eq!(Codec::<Vec<f32>>::decode(&Floats, &[]).unwrap(), Vec::<f32>::new());
}

#[test]
fn floats_keep_every_bit() {
    let odd = vec![f32::NAN, -0.0, f32::INFINITY, f32::MIN_POSITIVE, f32::from_bits(0x7fa0_0001)];
    let bytes = encoded(&Floats, &odd);
    let back = Codec::<Vec<f32>>::decode(&Floats, &bytes).unwrap();
    assert!(back.iter().zip(&odd).all(|(one, other)| one.to_bits() == other.to_bits()));
}

#[test]
fn encoding_needs_no_buffer_but_the_callers() {
    let users: Vec<(u64, String)> = (0..100).map(|id| (id, format!("user {id}"))).collect();
    let floats = vec![0.5_f32; 1536];
    let mut out = Vec::with_capacity(1 << 16);
    let info = allocation_counter::measure(|| {
        Codec::encode(&Postcard, &users, &mut out).unwrap();
        Codec::encode(&Json, &users, &mut out).unwrap();
        Codec::encode(&Floats, &floats, &mut out).unwrap();
    });
    assert_eq!(info.count_total, 0);
    let bytes = encoded(&Floats, &floats);
    let info = allocation_counter::measure(|| drop(Codec::<Vec<f32>>::decode(&Floats, &bytes).unwrap()));
    assert_eq!(info.count_total, 1);
    let info = allocation_counter::measure(|| drop(Codec::<Arc<[f32]>>::decode(&Floats, &bytes).unwrap()));
    assert_eq!(info.count_total, 1);
}

#[test]
fn a_value_that_does_not_serialise_is_an_error() {
    let no_json = HashMap::from([((1, 2), 3)]);
    assert!(Codec::encode(&Json, &no_json, &mut Vec::new()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_value_comes_back_from_every_codec(
        user in user(), bytes in any::<Vec<u8>>(), text in any::<String>(), floats in any::<Vec<f32>>(),
        doubles in any::<[f64; 3]>(),
    ) {
        check(&Postcard, &user);
        check(&Json, &user);
        check(&Raw, &bytes);
        check(&Raw, &bytes.clone().into_boxed_slice());
        check(&Raw, &Arc::<[u8]>::from(bytes.as_slice()));
        check(&Raw, &Bytes::from(bytes));
        check(&Raw, &text);
        check(&Raw, &text.clone().into_boxed_str());
        check(&Raw, &Arc::<str>::from(text));
        check(&Floats, &floats);
        check(&Floats, &floats.clone().into_boxed_slice());
        check(&Floats, &Arc::<[f32]>::from(floats));
        check(&Floats, &doubles);
        check(&Floats, &doubles.to_vec());
        check(&Floats, &Arc::<[f64]>::from(doubles));
    }

    #[test]
    fn no_bytes_make_a_codec_panic(bytes in any::<Vec<u8>>()) {
        let _: Result<User, _> = Postcard.decode(&bytes);
        let _: Result<User, _> = Json.decode(&bytes);
        let _: Result<String, _> = Raw.decode(&bytes);
        let _: Result<Vec<f64>, _> = Floats.decode(&bytes);
    }
}
