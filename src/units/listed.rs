//! Enums that know all their variants.

/// Declares an enum without fields, and its constant `ALL`: every variant, in the order of declaration.
/// So `ALL[it as usize]` is `it`, and no variant can be left out of `ALL`.
macro_rules! listed {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$about:meta])* $variant:ident,)* }) => {
        $(#[$meta])*
        $vis enum $name { $($(#[$about])* $variant,)* }

        impl $name {
            /// Every variant, in the order of declaration.
            $vis const ALL: [Self; [$($name::$variant),*].len()] = [$($name::$variant),*];
        }
    };
}

pub(crate) use listed;
