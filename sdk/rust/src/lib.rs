//! Write Millstream plugins in Rust.
//!
//! A plugin is a WebAssembly component. A *transform* changes, splits, drops or refuses messages on their way to Kafka
//! ([`Plugin`], [`transform!`]); a *function plugin* gives rule SQL new functions ([`Functions`], [`functions!`]).
//!
//! ```
//! use millstream_sdk::{Error, Message, Outcome, Plugin};
//!
//! #[derive(serde::Deserialize)]
//! struct Config {
//!     site: String,
//! }
//!
//! struct SiteTags {
//!     config: Config,
//! }
//!
//! impl Plugin for SiteTags {
//!     type Config = Config;
//!
//!     fn new(config: Config) -> Result<SiteTags, Error> {
//!         Ok(SiteTags { config })
//!     }
//!
//!     fn transform(&mut self, message: &mut Message<'_>) -> Result<Outcome, Error> {
//!         message.push_header("site", &self.config.site);
//!         Ok(Outcome::Send)
//!     }
//! }
//!
//! millstream_sdk::transform!(SiteTags);
//! ```
//!
//! Build it with `crate-type = ["cdylib"]` and `cargo build --release --target wasm32-wasip2`: what comes out is the
//! component. This crate hides the flat world of `wit/`; it never asks for more than `log`.

pub mod bindings;
mod codec;
mod function;
pub mod log;
mod message;
pub mod run;

pub use function::{Function, Functions, Value};
pub use message::{Message, Origin, Outcome, Record};

/// A transform: what [`transform!`] exports.
pub trait Plugin: Sized {
    /// The plugin's `config` table. Use `serde_json::Value` to take anything; a table that does not fit is refused when
    /// the plugin is loaded, with serde's message.
    type Config: serde::de::DeserializeOwned;

    /// Makes one instance. An error stops the plugin from being loaded.
    fn new(config: Self::Config) -> Result<Self, Error>;

    /// Looks at one message, and changes it in place. An error refuses the message: the device is told so, with the
    /// error's text. After a panic the message is tried once more on a fresh instance, then the rule's `on_error` decides.
    fn transform(&mut self, message: &mut Message<'_>) -> Result<Outcome, Error>;
}

/// Why a plugin does not start, or does not want a message, as an operator should read it. Every `std` error becomes one
/// with `?`.
#[derive(Debug)]
pub struct Error(String);

impl Error {
    pub fn new(text: impl Into<String>) -> Error {
        Error(text.into())
    }

    pub fn into_text(self) -> String {
        self.0
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Error {
        Error(error.to_string())
    }
}

/// Exports a [`Plugin`] type as the component's transform. `transform!(SiteTags)` expands to
///
/// ```text
/// const _: () = {
///     thread_local! {
///         static PLUGIN: RefCell<Option<SiteTags>> = const { RefCell::new(None) };
///     }
///
///     struct Component;
///
///     // The trait that wit-bindgen made from `interface plugin-flat`.
///     impl Guest for Component {
///         fn init(config: String) -> Result<(), String> {
///             run::init(&PLUGIN, &config)
///         }
///         fn transform(batch: Messages) -> Outcomes {
///             run::transform(&PLUGIN, &batch)
///         }
///     }
///
///     // The exported symbols and the component's type, by wit-bindgen.
///     export_transform_flat!(Component);
/// };
/// ```
#[macro_export]
macro_rules! transform {
    ($plugin:ty) => {
        const _: () = {
            ::std::thread_local! {
                static PLUGIN: ::std::cell::RefCell<::std::option::Option<$plugin>> =
                    const { ::std::cell::RefCell::new(::std::option::Option::None) };
            }

            struct Component;

            impl $crate::bindings::flat::exports::millstream::plugin::plugin_flat::Guest for Component {
                fn init(config: ::std::string::String) -> ::std::result::Result<(), ::std::string::String> {
                    $crate::run::init(&PLUGIN, &config)
                }

                fn transform(
                    batch: $crate::bindings::flat::exports::millstream::plugin::plugin_flat::Messages,
                ) -> $crate::bindings::flat::exports::millstream::plugin::plugin_flat::Outcomes {
                    $crate::run::transform(&PLUGIN, &batch)
                }
            }

    $crate::bindings::flat::export_transform_flat!(Component with_types_in $crate::bindings::flat);
        };
    };
}

/// Exports a [`Functions`] type as the component's functions; expands like [`transform!`], with `interface functions`.
#[macro_export]
macro_rules! functions {
    ($plugin:ty) => {
        const _: () = {
            use $crate::bindings::function::exports::millstream::plugin::functions as wire;

            ::std::thread_local! {
                static PLUGIN: ::std::cell::RefCell<::std::option::Option<$plugin>> =
                    const { ::std::cell::RefCell::new(::std::option::Option::None) };
            }

            struct Component;

            impl wire::Guest for Component {
                fn init(config: ::std::string::String) -> ::std::result::Result<(), ::std::string::String> {
                    $crate::run::init_functions(&PLUGIN, &config)
                }

                fn signatures() -> ::std::vec::Vec<wire::Signature> {
                    $crate::run::signatures::<$plugin>()
                }

                fn call(
                    index: u32,
                    args: ::std::vec::Vec<wire::Value>,
                ) -> ::std::result::Result<wire::Value, ::std::string::String> {
                    $crate::run::call(&PLUGIN, index, args)
                }
            }

    $crate::bindings::function::export_function!(Component with_types_in $crate::bindings::function);
        };
    };
}
