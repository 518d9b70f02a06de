//! AES-GCM of aws-lc, with expanded keys in memory whose address is known.
//!
//! An expanded key is nine cache lines. `aws-lc-rs` keeps them behind a pointer it does not tell,
//! so a thread that serves a thousand of them waits for memory with each packet. Here they can be
//! fetched ahead ([`AesGcm::prefetch`]). A crate of its own, so that `media/core` can forbid
//! unsafe code; everything else of aws-lc is used through `aws-lc-rs`.

use std::fmt;
use std::mem::{MaybeUninit, size_of};
use std::ptr;

use aws_lc_sys::{
    CRYPTO_library_init, EVP_AEAD_CTX, EVP_AEAD_CTX_cleanup, EVP_AEAD_CTX_init,
    EVP_AEAD_CTX_open_gather, EVP_AEAD_CTX_seal_scatter, EVP_AEAD_CTX_zero, EVP_aead_aes_128_gcm,
    EVP_aead_aes_256_gcm, OPENSSL_cleanse,
};
use media_prefetch::prefetch_all;

/// Bytes of a nonce.
pub const NONCE_LEN: usize = 12;
/// Bytes of a tag.
pub const TAG_LEN: usize = 16;

/// Why nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AeadError {
    /// A key has neither 16 nor 32 bytes.
    KeyLength,
    /// A packet is longer than the algorithm takes.
    Length,
    /// A packet is not what was sealed with this key, nonce and associated data.
    Authentication,
}

impl fmt::Display for AeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AeadError::KeyLength => "an AES-GCM key must have 16 or 32 bytes",
            AeadError::Length => "too long for AES-GCM",
            AeadError::Authentication => "the packet is not authentic",
        })
    }
}

impl std::error::Error for AeadError {}

/// Begins with a cache line.
#[repr(C, align(64))]
struct Context(EVP_AEAD_CTX);

/// An expanded key of AES-128-GCM or AES-256-GCM (NIST SP 800-38D), for sealing and opening.
pub struct AesGcm {
    context: Box<Context>,
}

// SAFETY: after `new` the context is only read (aead.h: operations on one context may run
// concurrently), it points at nothing but aws-lc's constants, and nothing ties it to a thread.
unsafe impl Send for AesGcm {}
// SAFETY: as above.
unsafe impl Sync for AesGcm {}

impl fmt::Debug for AesGcm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AesGcm").finish_non_exhaustive()
    }
}

impl AesGcm {
    /// Expands a key of 16 or 32 bytes.
    ///
    /// # Errors
    ///
    /// [`AeadError::KeyLength`] for any other.
    pub fn new(key: &[u8]) -> Result<AesGcm, AeadError> {
        // SAFETY: takes nothing, may be called any number of times from any thread.
        unsafe { CRYPTO_library_init() };
        let aead = match key.len() {
            // SAFETY: returns the address of a constant.
            16 => unsafe { EVP_aead_aes_128_gcm() },
            // SAFETY: as above.
            32 => unsafe { EVP_aead_aes_256_gcm() },
            _ => return Err(AeadError::KeyLength),
        };
        let mut context = Box::<Context>::new_uninit();
        let place: *mut EVP_AEAD_CTX = MaybeUninit::as_mut_ptr(&mut *context).cast();
        // SAFETY: `place` has the size and alignment of the structure, which begins `Context`;
        // zeroed, a context is valid to be dropped, and all its fields may be zero.
        unsafe {
            ptr::write_bytes(place, 0, 1);
            EVP_AEAD_CTX_zero(place);
        }
        // SAFETY: all bytes were just written, and all fields are integers and pointers.
        let mut context = unsafe { context.assume_init() };
        // SAFETY: the context is zeroed and ours alone; `key` is readable for its length; no
        // engine is given. The context holds no pointer into itself, and it is never moved.
        let done = unsafe {
            EVP_AEAD_CTX_init(
                &raw mut context.0,
                aead,
                key.as_ptr(),
                key.len(),
                TAG_LEN,
                ptr::null_mut(),
            )
        };
        let key = AesGcm { context };
        if done == 1 { Ok(key) } else { Err(AeadError::KeyLength) }
    }

    /// Has the key fetched. Nothing waits for it.
    #[inline]
    pub fn prefetch(&self) {
        prefetch_all(&*self.context);
    }

    /// Encrypts `data` in place and writes the tag.
    ///
    /// A nonce must not be used twice with a key.
    ///
    /// # Errors
    ///
    /// [`AeadError::Length`] from 64 GiB; `data` is all zeros then.
    #[inline]
    pub fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        data: &mut [u8],
        tag: &mut [u8; TAG_LEN],
    ) -> Result<(), AeadError> {
        let mut tag_len = 0;
        let text = data.as_mut_ptr();
        // SAFETY: the context is initialised; every pointer is valid for the length beside it;
        // input and output are the same bytes, which is allowed, and borrows keep `tag`, `nonce`
        // and `aad` apart from them.
        let done = unsafe {
            EVP_AEAD_CTX_seal_scatter(
                &raw const self.context.0,
                text,
                tag.as_mut_ptr(),
                &raw mut tag_len,
                TAG_LEN,
                nonce.as_ptr(),
                NONCE_LEN,
                text.cast_const(),
                data.len(),
                ptr::null(),
                0,
                aad.as_ptr(),
                aad.len(),
            )
        };
        if done == 1 && tag_len == TAG_LEN { Ok(()) } else { Err(AeadError::Length) }
    }

    /// Decrypts `data` in place if the tag is right.
    ///
    /// # Errors
    ///
    /// [`AeadError::Authentication`] if not; what `data` holds then is not specified.
    #[inline]
    pub fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        data: &mut [u8],
        tag: &[u8],
    ) -> Result<(), AeadError> {
        let text = data.as_mut_ptr();
        // SAFETY: as in `seal`; a tag of another length is refused.
        let done = unsafe {
            EVP_AEAD_CTX_open_gather(
                &raw const self.context.0,
                text,
                nonce.as_ptr(),
                NONCE_LEN,
                text.cast_const(),
                data.len(),
                tag.as_ptr(),
                tag.len(),
                aad.as_ptr(),
                aad.len(),
            )
        };
        if done == 1 { Ok(()) } else { Err(AeadError::Authentication) }
    }
}

impl Drop for AesGcm {
    fn drop(&mut self) {
        // SAFETY: zeroed or initialised, not used after this; cleansing writes its own bytes only.
        unsafe {
            EVP_AEAD_CTX_cleanup(&raw mut self.context.0);
            OPENSSL_cleanse((&raw mut self.context.0).cast(), size_of::<EVP_AEAD_CTX>());
        }
    }
}

#[cfg(test)]
mod tests;
