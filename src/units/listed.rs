//! Enums that know all their variants.

/// Declares an enum without fields, and its constant `ALL`: every variant, in the order of declaration.
/// So `ALL[it as usize]` is `it`, and no variant can be left out of `ALL`.
macro_rules! listed {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$about:meta])* $variant:ident,)* }) => {
        $(#[$meta])*
        pub enum $name { $($(#[$about])* $variant,)* }

        impl $name {
            /// Every variant, in the order of declaration.
            pub const ALL: [Self; [$($name::$variant),*].len()] = [$($name::$variant),*];
        }
    };
}

pub(crate) use listed;
