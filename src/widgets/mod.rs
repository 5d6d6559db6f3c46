//! Pieces that several screens draw. They know cells and meanings, not what is shown.

pub mod ascii;
pub mod bars;
pub mod clusters;
pub mod frame;
pub mod heading;
pub mod table;
pub mod text;
pub mod theme;
pub mod when;
