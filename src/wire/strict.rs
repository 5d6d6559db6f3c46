//! JSON read in one way: an object is one, at every depth. By itself serde takes a list for it too, and its members
//! for the fields by their order, so that one body would mean two things.

use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

/// Text of a body.
///
/// # Errors
/// It is no JSON, something else than `T`, or has a list where an object belongs.
pub fn from_slice<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = T::deserialize(Strict(&mut reader))?;
    reader.end()?;
    Ok(value)
}

/// Whatever serde hands on, down to the last member: all that it reads is read so.
struct Strict<T>(T);

/// Takes what is there.
struct Takes<V> {
    visitor: V,
    /// Its fields have names.
    is_object: bool,
}

impl<V> Takes<V> {
    fn any(visitor: V) -> Self {
        Self {
            visitor,
            is_object: false,
        }
    }

    fn object(visitor: V) -> Self {
        Self {
            visitor,
            is_object: true,
        }
    }
}

macro_rules! deserialize {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method(Takes::any(visitor))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<D> {
    type Error = D::Error;

    deserialize! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string deserialize_bytes
        deserialize_byte_buf deserialize_option deserialize_unit deserialize_seq deserialize_map
        deserialize_identifier deserialize_ignored_any
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_unit_struct(name, Takes::any(visitor))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_newtype_struct(name, Takes::any(visitor))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple(len, Takes::any(visitor))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple_struct(name, len, Takes::any(visitor))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct(name, fields, Takes::object(visitor))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, Takes::any(visitor))
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

macro_rules! visit {
    ($($method:ident($kind:ty))*) => {$(
        fn $method<E: Error>(self, value: $kind) -> Result<V::Value, E> {
            self.visitor.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Takes<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    visit! {
        visit_bool(bool) visit_i8(i8) visit_i16(i16) visit_i32(i32) visit_i64(i64) visit_i128(i128) visit_u8(u8)
        visit_u16(u16) visit_u32(u32) visit_u64(u64) visit_u128(u128) visit_f32(f32) visit_f64(f64)
        visit_char(char) visit_str(&str) visit_borrowed_str(&'de str) visit_string(String) visit_bytes(&[u8])
        visit_borrowed_bytes(&'de [u8]) visit_byte_buf(Vec<u8>)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Strict(inner))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(Strict(inner))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, members: A) -> Result<V::Value, A::Error> {
        if self.is_object {
            return Err(A::Error::custom(
                "a list where an object with named fields belongs",
            ));
        }
        self.visitor.visit_seq(Strict(members))
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Strict(fields))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(Strict(variant))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Strict<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Strict(inner))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Strict(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(Strict(seed))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Strict(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Strict<A> {
    type Error = A::Error;
    type Variant = Strict<A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let (name, variant) = self.0.variant_seed(Strict(seed))?;
        Ok((name, Strict(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.0.newtype_variant_seed(Strict(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(len, Takes::any(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.struct_variant(fields, Takes::object(visitor))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Place {
        host: String,
        port: u16,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Way {
        Straight(Place),
        By { place: Place },
        Pair(u8, u8),
        Nowhere,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct All {
        one: Place,
        maybe: Option<Place>,
        several: Vec<Place>,
        named: BTreeMap<String, Place>,
        ways: Vec<Way>,
        pair: (u8, Place),
        free: serde_json::Value,
    }

    fn all() -> All {
        let place = || Place {
            host: "web-01".to_owned(),
            port: 443,
        };
        All {
            one: place(),
            maybe: Some(place()),
            several: vec![place(), place()],
            named: BTreeMap::from([("a".to_owned(), place())]),
            ways: vec![
                Way::Straight(place()),
                Way::By { place: place() },
                Way::Pair(1, 2),
                Way::Nowhere,
            ],
            pair: (7, place()),
            free: serde_json::json!([["x", null, 1.5, -3, true]]),
        }
    }

    #[test]
    fn what_is_as_it_should_be_is_read_as_ever() {
        let body = serde_json::to_vec(&all()).unwrap();
        assert_eq!(from_slice::<All>(&body).unwrap(), all());
        assert!(from_slice::<All>(&[&body[..], b" x"].concat()).is_err());
    }

    #[test]
    fn a_list_is_no_object_at_any_depth() {
        let body = serde_json::to_string(&all()).unwrap();
        let (object, list) = (r#"{"host":"web-01","port":443}"#, r#"["web-01",443]"#);
        let mut n = 0;
        for (at, _) in body.match_indices(object) {
            let other = format!("{}{list}{}", &body[..at], &body[at + object.len()..]);
            assert!(
                serde_json::from_str::<All>(&other).is_ok(),
                "serde takes it: {other}"
            );
            let error = from_slice::<All>(other.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("a list where an object"), "{error}");
            n += 1;
        }
        assert_eq!(n, 8);
        let variant = body.replace(
            &format!(r#"{{"By":{{"place":{object}}}}}"#),
            &format!(r#"{{"By":[{object}]}}"#),
        );
        assert_ne!(variant, body);
        assert!(serde_json::from_str::<All>(&variant).is_ok());
        assert!(from_slice::<All>(variant.as_bytes()).is_err());
        assert!(from_slice::<Place>(list.as_bytes()).is_err());
    }
}
