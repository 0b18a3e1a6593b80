//! The engine as it is compiled for one design, where speed counts.

/// Runs `$body` with `$design` bound to the type of a shipped design, for which the engine is compiled, or to `$any`, a
/// [`Composed`](vgic_core::designs::Composed), if the name is that of none.
///
/// A build with debug assertions measures nothing: it takes `$any` always, and compiles the engine once, not once a
/// design.
macro_rules! compiled {
    ($name:expr, $any:expr, $design:ident => $body:expr) => {{
        let any = $any;
        #[cfg(debug_assertions)]
        let result = {
            let $design = any;
            $body
        };
        #[cfg(not(debug_assertions))]
        let result = vgic_core::with_design!($name, $design => $body).unwrap_or_else(|| {
            let $design = any;
            $body
        });
        result
    }};
}
pub(crate) use compiled;
