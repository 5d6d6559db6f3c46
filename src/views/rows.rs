//! The rows of a pane: which there are, by id, and each one made only when it is asked for. A list may hold
//! thousands of rows of which a screen shows forty.

use std::borrow::Cow;

use super::Row;

/// The rows, in their order.
pub struct Rows<'a> {
    ids: Vec<Cow<'a, str>>,
    make: Box<dyn Fn(usize) -> Option<Row> + 'a>,
}

impl<'a> Rows<'a> {
    /// A row for each of `items`, known by its `id`.
    pub(super) fn over<T: 'a>(
        items: Vec<&'a T>,
        id: impl Fn(&'a T) -> Cow<'a, str>,
        make: impl Fn(&'a T) -> Row + 'a,
    ) -> Self {
        Self {
            ids: items.iter().map(|item| id(item)).collect(),
            make: Box::new(move |index| items.get(index).map(|item| make(item))),
        }
    }

    /// A row for each of these ids, made out of what `make` holds.
    pub(super) fn of(ids: Vec<String>, make: impl Fn(usize) -> Option<Row> + 'a) -> Self {
        Self {
            ids: ids.into_iter().map(Cow::Owned).collect(),
            make: Box::new(make),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Their ids, in order.
    #[must_use]
    pub fn ids(&self) -> &[Cow<'a, str>] {
        &self.ids
    }

    /// Whether there is one with this id.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.ids.iter().any(|other| other == id)
    }

    /// The row at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Row> {
        (self.make)(index)
    }

    /// All of them, made now.
    #[must_use]
    pub fn into_vec(self) -> Vec<Row> {
        (0..self.len()).filter_map(|index| self.get(index)).collect()
    }
}

impl From<Vec<Row>> for Rows<'_> {
    fn from(rows: Vec<Row>) -> Self {
        Self {
            ids: rows.iter().map(|row| Cow::Owned(row.id.clone())).collect(),
            make: Box::new(move |index| rows.get(index).cloned()),
        }
    }
}
