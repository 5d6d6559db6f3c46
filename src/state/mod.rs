//! What a console knows and can be told.
