//! How servers of debug files are asked: HTTP, with or without TLS, and nothing else. The machine's
//! certificates say whom TLS trusts; `SSL_CERT_FILE` names others.

use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use std::io::Write;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tracer_core::engine::{DebugServers, FetchError, ServerOptions, Transport};

/// How long it may take until a server is connected.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a server may say nothing: it may have to unpack a package first.
const SILENCE: Duration = Duration::from_secs(60);

/// The servers that the environment names; `None` where it names none.
pub fn servers() -> Option<DebugServers> {
    DebugServers::new(ServerOptions::from_environment(), Box::new(Http))
}

#[derive(Debug)]
struct Http;

impl Transport for Http {
    fn get(&self, url: &str, patience: Duration, to: &mut dyn Write) -> Result<(), FetchError> {
        let failed = |error: &dyn std::error::Error| FetchError::Failed(text(error));
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime: Runtime = runtime.map_err(|error| failed(&error))?;
        // A proxy would be asked for what the environment of root names, and for nothing else; but
        // it may lead elsewhere.
        let client = Client::builder().redirect(Policy::none()).no_proxy();
        let client = client.connect_timeout(CONNECT).read_timeout(SILENCE).timeout(patience);
        let client = client.build().map_err(|error| failed(&error))?;
        runtime.block_on(async {
            let mut response = client.get(url).send().await.map_err(|error| failed(&error))?;
            match response.status() {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => return Err(FetchError::NotFound),
                other => return Err(FetchError::Failed(format!("it answers {other}"))),
            }
            while let Some(bytes) = response.chunk().await.map_err(|error| failed(&error))? {
                to.write_all(&bytes).map_err(|error| failed(&error))?;
            }
            Ok(())
        })
    }
}

/// An error with what it is about, without the URL, which is told beside it.
fn text(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
