//! One file a screen: state in, cells out. A view draws and says which rows it shows; it changes
//! nothing and asks nobody.
