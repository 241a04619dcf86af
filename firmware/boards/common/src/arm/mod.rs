//! Parts of every Cortex-M.

#[cfg(feature = "systick")]
mod board;
#[cfg(feature = "systick")]
mod clock;
mod fault;
mod guard;

#[cfg(feature = "systick")]
pub use board::{Lit, SysTickBoard};
#[cfg(feature = "systick")]
pub use clock::Clock;
pub use fault::restart;
pub use guard::guard_stack;
