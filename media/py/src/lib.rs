//! `sfu._media`: conversions between Python and the media engine. No decisions in here.
//!
//! The Python side of the contract is `sfu/_media.pyi`.

use pyo3::prelude::*;

mod engine;
mod errors;
mod event;
mod names;
mod netem;
mod parameters;
mod parse;
mod stats;
mod swarm;

/// The media plane: one `Engine` is one thread with one UDP port.
#[pymodule(gil_used = false)]
mod _media {
    use media_core::api::FORWARD_DELAY_BOUNDS_S;
    use media_core::{DropReason, Stage};
    use pyo3::prelude::*;
    use pyo3::types::PyTuple;

    #[pymodule_export]
    use crate::engine::Engine;
    #[pymodule_export]
    use crate::errors::{EngineBusyError, EngineClosedError, EngineConfigError, MediaError};
    #[pymodule_export]
    use crate::event::Event;
    #[pymodule_export]
    use crate::netem::{Netem, NetemConfig, NetemCounters, NetemPath, PathReport};
    #[pymodule_export]
    use crate::parameters::{Certificate, CodecParameters, EncodingParameters};
    #[pymodule_export]
    use crate::stats::{
        CaptureStats, ConsumerStats, Counters, EncodingStats, ProducerStats, Snapshot, StageStats,
        TapStats, TcpStats, TransportStats,
    };
    #[pymodule_export]
    use crate::swarm::{Swarm, SwarmReport};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        media_heap::ask_for_huge_pages();
        let py = module.py();
        module.add("ParameterError", crate::errors::parameter_error(py)?)?;
        let reasons = DropReason::ALL.map(DropReason::as_str);
        module.add("DROP_REASONS", PyTuple::new(py, reasons)?)?;
        let stages = Stage::ALL.map(Stage::as_str);
        module.add("STAGES", PyTuple::new(py, stages)?)?;
        module.add("FORWARD_DELAY_BOUNDS_S", PyTuple::new(py, FORWARD_DELAY_BOUNDS_S)?)
    }
}
