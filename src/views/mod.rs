//! One file a screen: state in, cells out.
