//! The exception tree and the one place where Rust errors become exceptions.

use media_core::CertificateError;
use media_net::{CloseTimeout, CommandError, EngineError};
use media_swarm::SwarmError;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{IntoPyDict, PyType};
use pyo3::{PyTypeInfo, create_exception};

create_exception!(sfu._media, MediaError, PyException, "Root of all errors of the plane.");
create_exception!(
    sfu._media,
    EngineConfigError,
    MediaError,
    "A setting or an address can't be used; the text says which."
);
create_exception!(
    sfu._media,
    EngineBusyError,
    MediaError,
    "The command queue is full: the engine can't keep up."
);
create_exception!(
    sfu._media,
    EngineClosedError,
    MediaError,
    "The engine was closed or its thread died."
);

/// `ParameterError(MediaError, ValueError)`: made by hand, since the macro takes one base only.
pub(crate) fn parameter_error(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    TYPE.get_or_try_init(py, || {
        let bases = (MediaError::type_object(py), PyValueError::type_object(py));
        let namespace = [
            ("__module__", "sfu._media"),
            ("__doc__", "A command's argument is malformed; nothing was sent."),
        ];
        let made = PyType::type_object(py).call1((
            "ParameterError",
            bases,
            namespace.into_py_dict(py)?,
        ))?;
        Ok(made.cast_into::<PyType>()?.unbind())
    })
    .map(|py_type| py_type.bind(py))
}

/// Everything the binding reports.
#[derive(Debug)]
pub(crate) enum Error {
    /// An argument of a command is malformed; the text names it and the rule.
    Parameter(String),
    /// An argument of the constructor is malformed, or what it allows was not asked for.
    Config(String),
    Engine(EngineError),
    Command(CommandError),
    Close(CloseTimeout),
    Certificate(CertificateError),
    Swarm(SwarmError),
}

impl Error {
    /// The same complaint about an argument of the constructor.
    pub(crate) fn of_config(self) -> Error {
        match self {
            Error::Parameter(text) => Error::Config(text),
            other => other,
        }
    }
}

/// Maps an error to its exception.
pub(crate) fn to_py(error: Error) -> PyErr {
    match error {
        Error::Parameter(text) => Python::attach(|py| {
            parameter_error(py)
                .map_or_else(|failure| failure, |py_type| PyErr::from_type(py_type.clone(), text))
        }),
        Error::Config(text) => EngineConfigError::new_err(text),
        Error::Engine(error) => EngineConfigError::new_err(error.to_string()),
        Error::Command(CommandError::Busy) => {
            EngineBusyError::new_err(CommandError::Busy.to_string())
        }
        Error::Command(CommandError::NoRecorder) => {
            EngineConfigError::new_err(CommandError::NoRecorder.to_string())
        }
        Error::Command(CommandError::Closed) => {
            EngineClosedError::new_err(CommandError::Closed.to_string())
        }
        Error::Close(error) => MediaError::new_err(error.to_string()),
        Error::Certificate(error) => MediaError::new_err(error.to_string()),
        Error::Swarm(SwarmError::Parameter(text)) => to_py(Error::Parameter(text)),
        Error::Swarm(error) => MediaError::new_err(format!("swarm: {error}")),
    }
}

impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        to_py(error)
    }
}
