//! The address of an embeddings API.

use std::{fmt, net::IpAddr, str::FromStr};

use ureq::http::Uri;

use super::scalar::{Scalar, ScalarError, Written};
use crate::text;

/// Default model.
pub const EMBED_MODEL: &str = "nomic-embed-text";

/// URL of the API, as in `http://127.0.0.1:11434/v1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedEndpoint {
    url: String,
    host: String,
    is_secret: bool,
}

/// Why a text is not an [`EmbedEndpoint`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address of an embeddings API: give one like http://127.0.0.1:11434/v1")]
pub struct EndpointError(pub String);

impl FromStr for EmbedEndpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let no = || EndpointError(text::clean(text).clone());
        let uri: Uri = text.parse().map_err(|_| no())?;
        let is_secret = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(no()),
        };
        let authority = uri.authority().ok_or_else(no)?;
        let host = authority.host().trim_matches(['[', ']']).to_lowercase();
        // A password would have to be kept out of every message; keys belong in the environment.
        if host.is_empty() || authority.as_str().contains('@') || uri.query().is_some() {
            return Err(no());
        }
        Ok(Self { url: text.trim_end_matches('/').to_owned(), host, is_secret })
    }
}

impl fmt::Display for EmbedEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl Scalar for EmbedEndpoint {
    const EXPECTED: &'static str = "an address in quotes";

    fn of(written: Written<'_>) -> Result<Self, ScalarError> {
        let Written::Text(text) = written else { return Err(ScalarError::Form) };
        text.parse().map_err(|error: EndpointError| ScalarError::Other(error.to_string()))
    }
}

impl EmbedEndpoint {
    pub fn is_of_this_machine(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Whether its host is a name.
    pub fn needs_lookup(&self) -> bool {
        self.host.parse::<IpAddr>().is_err()
    }

    /// Whether it is `OpenAI`'s, and the connection is encrypted.
    pub fn may_have_key_of_openai(&self) -> bool {
        self.is_secret && (self.host == "openai.com" || self.host.ends_with(".openai.com"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_and_a_host_and_no_password() {
        for (text, url) in [
            ("http://127.0.0.1:11434/v1", "http://127.0.0.1:11434/v1"),
            ("https://api.example.org/v1/", "https://api.example.org/v1"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(text.parse::<EmbedEndpoint>().map(|it| it.to_string()).as_deref(), Ok(url));
        }
        for text in
            ["", "127.0.0.1:11434", "ftp://x/", "http://", "/v1", "http://me:secret@host/v1", "http://h/?q=1"]
        {
            let error = text.parse::<EmbedEndpoint>().expect_err(text).to_string();
            assert!(error.contains("give one like http://") && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn what_is_on_this_machine_is_known() {
        let is_own = |text: &str| text.parse::<EmbedEndpoint>().expect(text).is_of_this_machine();
        assert!(
            ["http://localhost/v1", "http://127.1.2.3:1/v1", "http://[::1]:1/v1"]
                .map(is_own)
                .iter()
                .all(|it| *it)
        );
        assert!(!is_own("http://10.0.0.1/v1") && !is_own("http://localhost.example.org/v1"));
    }

    #[test]
    fn the_key_of_openai_is_for_openai_alone() {
        let may = |text: &str| text.parse::<EmbedEndpoint>().expect(text).may_have_key_of_openai();
        assert!(may("https://api.openai.com/v1") && may("https://EU.api.OpenAI.com/v1"));
        for text in [
            "http://api.openai.com/v1",
            "https://api.openai.com.example.org/v1",
            "https://notopenai.com/v1",
            "https://127.0.0.1:1/v1",
        ] {
            assert!(!may(text), "{text}");
        }
    }
}
