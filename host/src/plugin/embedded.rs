//! The sample plugin inside the binary, so that `serve --dev` needs no file. `build.rs` compiles it from `plugins/site-tags`.

/// The component `plugins/site-tags`.
pub const SITE_TAGS: &[u8] = include_bytes!(env!("MILLSTREAM_SITE_TAGS"));
