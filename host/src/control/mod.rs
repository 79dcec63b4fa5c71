//! What the management interface shows and changes, as the parts hand it to each other. Only data and seams: nothing here
//! opens a socket or knows who is on the other side.

pub mod sessions;
