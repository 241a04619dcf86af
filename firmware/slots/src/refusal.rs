//! The reason why a slot's image does not run, or an operation on the slots failed.

use attoformer_protocol::link::fault::Fault;

/// An error of the engine, or a fault of the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The engine refuses the image.
    Engine(attoformer::Error),
    /// Anything else.
    Fault(Fault<'static>),
}

impl From<attoformer::Error> for Refusal {
    fn from(error: attoformer::Error) -> Self {
        match error {
            attoformer::Error::SelfTest { expected, found } => Refusal::Fault(Fault::SelfTest { expected, found }),
            attoformer::Error::NotBuiltIn { feature } => Refusal::Fault(Fault::NotBuiltIn { feature }),
            error => Refusal::Engine(error),
        }
    }
}

impl From<Fault<'static>> for Refusal {
    fn from(fault: Fault<'static>) -> Self {
        Refusal::Fault(fault)
    }
}
