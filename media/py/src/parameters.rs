//! Parameter objects of commands and the certificate.

use std::sync::Arc;

use media_core::api::{self, ConsumerParameters, MediaKind, ProducerParameters};
use pyo3::prelude::*;

use crate::errors::Error;
use crate::names;
use crate::parse::{self, Int};

/// Self-signed ECDSA P-256 certificate for DTLS; one for all engines of a process.
#[pyclass(module = "sfu._media", frozen)]
pub(crate) struct Certificate(pub(crate) Arc<media_core::Certificate>);

#[pymethods]
impl Certificate {
    #[new]
    fn new(py: Python<'_>) -> Result<Certificate, Error> {
        py.detach(media_core::Certificate::generate)
            .map(|certificate| Certificate(Arc::new(certificate)))
            .map_err(Error::Certificate)
    }

    /// SHA-256 in SDP form, upper-case hex pairs with colons (RFC 8122).
    #[getter]
    fn fingerprint(&self) -> String {
        let digest = self.0.fingerprint().digest;
        let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        pairs.join(":")
    }
}

/// One payload type of an m-line; ``codec`` is opus, vp8, vp9, h264 or av1.
#[pyclass(module = "sfu._media", frozen, eq)]
#[derive(Clone, PartialEq)]
pub(crate) struct CodecParameters(api::CodecParameters);

#[pymethods]
impl CodecParameters {
    #[new]
    #[pyo3(signature = (*, codec, payload_type, clock_rate_hz, rtx_payload_type = None, red_payload_type = None, variant = ""))]
    fn new(
        codec: &str,
        payload_type: Int,
        clock_rate_hz: Int,
        rtx_payload_type: Option<Int>,
        red_payload_type: Option<Int>,
        variant: &str,
    ) -> Result<CodecParameters, Error> {
        let parameters = api::CodecParameters {
            codec: parse::word("codec", codec, names::CODECS)?,
            payload_type: parse::payload_type("payload_type", payload_type)?,
            rtx_payload_type: rtx_payload_type
                .map(|value| parse::payload_type("rtx_payload_type", value))
                .transpose()?,
            red_payload_type: red_payload_type
                .map(|value| parse::payload_type("red_payload_type", value))
                .transpose()?,
            clock_rate_hz: parse::integer("clock_rate_hz", clock_rate_hz, 1_000..=384_000)? as u32,
            variant: parse::variant(variant)?,
        };
        if parameters.red_payload_type.is_some() && parameters.codec != api::Codec::Opus {
            return Err(Error::Parameter("red_payload_type: only Opus has one".into()));
        }
        Ok(CodecParameters(parameters))
    }

    #[getter]
    fn codec(&self) -> &'static str {
        names::codec(self.0.codec)
    }

    #[getter]
    fn payload_type(&self) -> u8 {
        self.0.payload_type
    }

    #[getter]
    fn clock_rate_hz(&self) -> u32 {
        self.0.clock_rate_hz
    }

    #[getter]
    fn rtx_payload_type(&self) -> Option<u8> {
        self.0.rtx_payload_type
    }

    #[getter]
    fn red_payload_type(&self) -> Option<u8> {
        self.0.red_payload_type
    }

    #[getter]
    fn variant(&self) -> &str {
        &self.0.variant
    }

    fn __repr__(&self) -> String {
        let number = |value: Option<u8>| value.map_or("None".into(), |value| value.to_string());
        format!(
            "CodecParameters(codec='{}', payload_type={}, clock_rate_hz={}, \
             rtx_payload_type={}, red_payload_type={}, variant={:?})",
            self.codec(),
            self.0.payload_type,
            self.0.clock_rate_hz,
            number(self.0.rtx_payload_type),
            number(self.0.red_payload_type),
            self.0.variant
        )
    }
}

/// One stream of a track.
#[pyclass(module = "sfu._media", frozen, eq)]
#[derive(Clone, PartialEq)]
pub(crate) struct EncodingParameters(api::EncodingParameters);

#[pymethods]
impl EncodingParameters {
    #[new]
    #[pyo3(signature = (*, rid = None, ssrc = None, rtx_ssrc = None))]
    fn new(
        rid: Option<&str>,
        ssrc: Option<Int>,
        rtx_ssrc: Option<Int>,
    ) -> Result<EncodingParameters, Error> {
        let parameters = api::EncodingParameters {
            rid: rid.map(parse::rid).transpose()?,
            ssrc: ssrc.map(|value| parse::ssrc("ssrc", value)).transpose()?,
            rtx_ssrc: rtx_ssrc.map(|value| parse::ssrc("rtx_ssrc", value)).transpose()?,
        };
        Ok(EncodingParameters(parameters))
    }

    #[getter]
    fn rid(&self) -> Option<&str> {
        self.0.rid.as_deref()
    }

    #[getter]
    fn ssrc(&self) -> Option<u32> {
        self.0.ssrc
    }

    #[getter]
    fn rtx_ssrc(&self) -> Option<u32> {
        self.0.rtx_ssrc
    }

    fn __repr__(&self) -> String {
        let number = |value: Option<u32>| value.map_or("None".into(), |value| value.to_string());
        let rid = self.0.rid.as_ref().map_or("None".into(), |rid| format!("'{rid}'"));
        format!(
            "EncodingParameters(rid={rid}, ssrc={}, rtx_ssrc={})",
            number(self.0.ssrc),
            number(self.0.rtx_ssrc)
        )
    }
}

fn codecs(given: &[Py<CodecParameters>]) -> Result<Vec<api::CodecParameters>, Error> {
    parse::bounded("codecs", given.len(), 1..=32)?;
    let codecs: Vec<_> = given.iter().map(|codec| codec.get().0.clone()).collect();
    parse::distinct("codecs: payload types", codecs.iter().map(|codec| codec.payload_type))?;
    // One RTX payload type may not repair two others: the packet doesn't say which (RFC 4588).
    let all = codecs.iter().flat_map(|codec| {
        [Some(codec.payload_type), codec.rtx_payload_type, codec.red_payload_type]
    });
    parse::distinct("codecs: payload types with those of RTX and RED", all.flatten())?;
    Ok(codecs)
}

fn encodings(given: &[Py<EncodingParameters>]) -> Result<Vec<api::EncodingParameters>, Error> {
    parse::bounded("encodings", given.len(), 0..=8)?;
    let encodings: Vec<_> = given.iter().map(|encoding| encoding.get().0.clone()).collect();
    parse::distinct("encodings: rids", encodings.iter().filter_map(|e| e.rid.as_ref()))?;
    parse::distinct(
        "encodings: ssrcs",
        encodings.iter().flat_map(|e| [e.ssrc, e.rtx_ssrc]).flatten(),
    )?;
    Ok(encodings)
}

/// Arguments of `add_producer` and `update_producer`.
pub(crate) fn producer(
    kind: &str,
    mid: &str,
    given_codecs: &[Py<CodecParameters>],
    given_encodings: &[Py<EncodingParameters>],
    nack: bool,
) -> Result<ProducerParameters, Error> {
    let kind: MediaKind = parse::word("kind", kind, names::KINDS)?;
    let codecs = codecs(given_codecs)?;
    if let Some(codec) = codecs.iter().find(|codec| names::kind_of(codec.codec) != kind) {
        return Err(Error::Parameter(format!(
            "codecs: {} is not {}",
            names::codec(codec.codec),
            names::kind(kind)
        )));
    }
    Ok(ProducerParameters {
        kind,
        mid: parse::mid(mid)?,
        codecs,
        encodings: encodings(given_encodings)?,
        nack,
    })
}

/// Arguments of `add_consumer` and `update_consumer`.
pub(crate) fn consumer(
    mid: &str,
    ssrc: Int,
    rtx_ssrc: Option<Int>,
    given_codecs: &[Py<CodecParameters>],
    nack: bool,
    cname: &str,
    paused: bool,
) -> Result<ConsumerParameters, Error> {
    let ssrc = parse::ssrc("ssrc", ssrc)?;
    let rtx_ssrc = rtx_ssrc.map(|value| parse::ssrc("rtx_ssrc", value)).transpose()?;
    if rtx_ssrc == Some(ssrc) {
        return Err(Error::Parameter("rtx_ssrc: must differ from ssrc".into()));
    }
    Ok(ConsumerParameters {
        mid: parse::mid(mid)?,
        ssrc,
        rtx_ssrc,
        codecs: codecs(given_codecs)?,
        nack,
        cname: parse::cname(cname)?,
        paused,
    })
}
