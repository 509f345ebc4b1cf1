//! The serializer that counts. It returns the shape of what it was shown, and adds what lies behind pointers to a sum.

use super::allocation_bytes;
use serde::Serialize;
use serde::ser::{self, Serializer};
use std::cell::Cell;
use std::fmt::{self, Write};

/// A value's own size, as far as its data tell.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shape {
    pub(super) size: usize,
    /// The least that a type with such data takes: a boxed string is smaller than a `String`.
    pub(super) size_min: usize,
    align: usize,
    /// Whether it has values to spare, so that an enum needs no tag beside it.
    has_niche: bool,
}

impl Shape {
    const fn plain(size: usize) -> Shape {
        Shape { size, size_min: size, align: if size < 8 { size } else { 8 }, has_niche: false }
    }

    /// Of something that keeps its data on the heap.
    const fn pointer(size: usize, size_min: usize) -> Shape {
        Shape { size, size_min, align: 8, has_niche: true }
    }

    /// With another field beside what there is.
    fn and(self, field: Shape) -> Shape {
        Shape {
            size: self.size + field.size,
            size_min: self.size_min + field.size_min,
            align: self.align.max(field.align),
            has_niche: self.has_niche || field.has_niche,
        }
    }

    /// Fields are ordered so that only the end is padded.
    fn padded(self) -> Shape {
        Shape { size: self.size.next_multiple_of(self.align.max(1)), ..self }
    }

    fn tagged(self) -> Shape {
        if self.has_niche { self } else { Shape { size: self.size + 1, ..self }.padded() }
    }

    /// What there must be room for if either may stand there.
    fn or(self, other: Shape) -> Shape {
        Shape {
            size: self.size.max(other.size),
            size_min: self.size_min.max(other.size_min),
            align: self.align.max(other.align),
            has_niche: self.has_niche || other.has_niche,
        }
    }
}

const TEXT: Shape = Shape::pointer(size_of::<String>(), size_of::<Box<str>>());
const SEQUENCE: Shape = Shape::pointer(size_of::<Vec<u8>>(), size_of::<Box<[u8]>>());
const MAP: Shape =
    Shape::pointer(size_of::<std::collections::HashMap<u8, u8>>(), size_of::<std::collections::BTreeMap<u8, u8>>());

/// The value refused.
#[derive(Debug)]
pub(super) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value does not serialise")
    }
}

impl std::error::Error for Refused {}

impl ser::Error for Refused {
    fn custom<T: fmt::Display>(_: T) -> Refused {
        Refused
    }
}

/// Walks one value.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    heap: &'a Cell<usize>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(heap: &'a Cell<usize>) -> Walk<'a> {
        Walk { heap }
    }

    fn allocate(self, bytes: usize) {
        self.heap.set(self.heap.get().saturating_add(allocation_bytes(bytes)));
    }

    fn text(self, len: usize) -> Shape {
        self.allocate(len);
        TEXT
    }

    fn fields(self, is_variant: bool) -> Fields<'a> {
        Fields { walk: self, is_variant, shape: Shape::default() }
    }
}

/// The fields of a struct, a tuple or a variant: they lie in one piece.
pub(super) struct Fields<'a> {
    walk: Walk<'a>,
    is_variant: bool,
    shape: Shape,
}

impl Fields<'_> {
    fn add<T: Serialize + ?Sized>(&mut self, field: &T) -> Result<(), Refused> {
        self.shape = self.shape.and(field.serialize(self.walk)?);
        Ok(())
    }

    fn finish(self) -> Shape {
        let shape = self.shape.padded();
        if self.is_variant { shape.tagged() } else { shape }
    }
}

/// The elements of a sequence or the pairs of a map: each as large as the largest.
pub(super) struct Elements<'a> {
    walk: Walk<'a>,
    count: usize,
    key: Shape,
    value: Shape,
}

impl<'a> Elements<'a> {
    fn new(walk: Walk<'a>) -> Elements<'a> {
        Elements { walk, count: 0, key: Shape::default(), value: Shape::default() }
    }
}

macro_rules! plain {
    ($($name:ident($type:ty),)*) => {$(
        fn $name(self, _: $type) -> Result<Shape, Refused> {
            Ok(Shape::plain(size_of::<$type>()))
        }
    )*};
}

impl<'a> Serializer for Walk<'a> {
    type Ok = Shape;
    type Error = Refused;
    type SerializeSeq = Elements<'a>;
    type SerializeTuple = Fields<'a>;
    type SerializeTupleStruct = Fields<'a>;
    type SerializeTupleVariant = Fields<'a>;
    type SerializeMap = Elements<'a>;
    type SerializeStruct = Fields<'a>;
    type SerializeStructVariant = Fields<'a>;

    plain! {
        serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64), serialize_i128(i128),
        serialize_u8(u8), serialize_u16(u16), serialize_u32(u32), serialize_u64(u64), serialize_u128(u128),
        serialize_f32(f32), serialize_f64(f64),
    }

    fn serialize_bool(self, _: bool) -> Result<Shape, Refused> {
        Ok(Shape { has_niche: true, ..Shape::plain(1) })
    }

    fn serialize_char(self, _: char) -> Result<Shape, Refused> {
        Ok(Shape { has_niche: true, ..Shape::plain(4) })
    }

    fn serialize_str(self, text: &str) -> Result<Shape, Refused> {
        Ok(self.text(text.len()))
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<Shape, Refused> {
        Ok(self.text(bytes.len()))
    }

    fn serialize_none(self) -> Result<Shape, Refused> {
        Ok(Shape::plain(1))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Shape, Refused> {
        Ok(value.serialize(self)?.tagged())
    }

    fn serialize_unit(self) -> Result<Shape, Refused> {
        Ok(Shape::default())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Shape, Refused> {
        Ok(Shape::default())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<Shape, Refused> {
        Ok(Shape { has_niche: true, ..Shape::plain(1) })
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<Shape, Refused> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<Shape, Refused> {
        Ok(value.serialize(self)?.tagged())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Elements<'a>, Refused> {
        Ok(Elements::new(self))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Elements<'a>, Refused> {
        Ok(Elements::new(self))
    }

    fn serialize_tuple(self, _: usize) -> Result<Fields<'a>, Refused> {
        Ok(self.fields(false))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Fields<'a>, Refused> {
        Ok(self.fields(false))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields<'a>, Refused> {
        Ok(self.fields(false))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Fields<'a>, Refused> {
        Ok(self.fields(true))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Fields<'a>, Refused> {
        Ok(self.fields(true))
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, text: &T) -> Result<Shape, Refused> {
        let mut written = Written(0);
        write!(written, "{text}").map_err(|_| Refused)?;
        Ok(self.text(written.0))
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// Counts what is displayed.
struct Written(usize);

impl Write for Written {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

impl ser::SerializeSeq for Elements<'_> {
    type Ok = Shape;
    type Error = Refused;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        self.count += 1;
        self.value = self.value.or(value.serialize(self.walk)?);
        Ok(())
    }

    fn end(self) -> Result<Shape, Refused> {
        self.walk.allocate(self.count.saturating_mul(self.value.padded().size));
        Ok(SEQUENCE)
    }
}

impl ser::SerializeMap for Elements<'_> {
    type Ok = Shape;
    type Error = Refused;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refused> {
        self.count += 1;
        self.key = self.key.or(key.serialize(self.walk)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        self.value = self.value.or(value.serialize(self.walk)?);
        Ok(())
    }

    /// A hash table has a power of two of places, seven eighths of them in use at most, and a byte beside each.
    fn end(self) -> Result<Shape, Refused> {
        if self.count > 0 {
            let places = (self.count.saturating_mul(8) / 7).max(3).checked_next_power_of_two().unwrap_or(usize::MAX);
            self.walk.allocate(places.saturating_mul(self.key.and(self.value).padded().size + 1).saturating_add(16));
        }
        Ok(MAP)
    }
}

macro_rules! fields {
    ($($of:ident::$add:ident($($name:ty)?);)*) => {$(
        impl ser::$of for Fields<'_> {
            type Ok = Shape;
            type Error = Refused;

            fn $add<T: Serialize + ?Sized>(&mut self, $(_: $name,)? value: &T) -> Result<(), Refused> {
                self.add(value)
            }

            fn end(self) -> Result<Shape, Refused> {
                Ok(self.finish())
            }
        }
    )*};
}

fields! {
    SerializeTuple::serialize_element();
    SerializeTupleStruct::serialize_field();
    SerializeTupleVariant::serialize_field();
    SerializeStruct::serialize_field(&'static str);
    SerializeStructVariant::serialize_field(&'static str);
}
