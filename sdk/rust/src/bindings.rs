//! What wit-bindgen makes of `wit/`. For the macros of this crate; plugins should not need it.

#![allow(missing_docs)]

pub mod flat {
    //! The world `transform-flat`.
    wit_bindgen::generate!({
        path: "../../wit",
        world: "transform-flat",
        pub_export_macro: true,
        export_macro_name: "export_transform_flat",
        default_bindings_module: "millstream_sdk::bindings::flat",
    });
}

pub mod function {
    //! The world `function`.
    wit_bindgen::generate!({
        path: "../../wit",
        world: "function",
        pub_export_macro: true,
        export_macro_name: "export_function",
        default_bindings_module: "millstream_sdk::bindings::function",
    });
}
