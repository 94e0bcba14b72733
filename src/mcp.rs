//! An MCP server over stdin and stdout (<https://modelcontextprotocol.io>). It holds nothing open: each call is a worker
//! process, which answers in the JSON of its command and ends.

mod acting;
mod documents;
mod observing;
mod parent;
mod reading;
mod served_paths;
mod stdio;
mod tool;
mod untrusted;
mod workers;

use std::{io, time::Duration};

use rmcp::{
    ErrorData, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, Implementation, InitializeResult,
        ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
        ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig,
    },
    service::{RequestContext, RoleServer, ServerInitializeError, serve_server},
};
use rustix::process::Signal;
use serde_json::Value;
use tokio::time::timeout;

pub use acting::AllowedAction;
pub use served_paths::ServedPaths;
pub use tool::ServerRequest;

use crate::endings::EndSignals;
use documents::DocumentShelf;
use tool::ServedTool;
use untrusted::TextOrigin;
use workers::{CallError, Workers};

/// How long the answers that are on their way have after the last request.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// The JSON schema of the output of a command.
pub type OutputSchema<'a> = &'a dyn Fn(&str) -> Option<Value>;

/// What ended a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerEnd {
    /// The client has closed a pipe, or the process that started the server is gone.
    ClientGone,
    Signal(Signal),
}

/// Why a server failed.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("cannot serve on stdin and stdout: {0}")]
    Pipes(#[from] io::Error),
    #[error("the client speaks no MCP: {0}")]
    Protocol(String),
}

/// Answers the calls of one client.
struct McpServer {
    request: ServerRequest,
    tools: Vec<ServedTool>,
    workers: Workers,
}

/// Serves what `request` says until the client is gone or a signal comes. Call it inside a runtime; what still runs ends with that.
///
/// # Errors
///
/// The system refuses threads, or the client speaks another protocol.
pub async fn serve(
    request: ServerRequest,
    schema: OutputSchema<'_>,
    signals: &mut EndSignals,
) -> Result<ServerEnd, ServerError> {
    let parent_ended = parent::watch()?;
    let (transport, mut pipe_end) = stdio::start()?;
    let tools = ServedTool::all(&request, schema);
    let server = McpServer { request, tools, workers: Workers::new() };
    let session = async {
        match serve_server(server, transport).await {
            Ok(running) => {
                // A panic of a handler is answered, and ends no session.
                let _ = running.waiting().await;
                Ok(())
            }
            Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
            Err(error) => Err(ServerError::Protocol(error.to_string())),
        }
    };
    tokio::select! {
        signal = signals.next() => return Ok(ServerEnd::Signal(signal)),
        Ok(()) = parent_ended => return Ok(ServerEnd::ClientGone),
        () = pipe_end.broken() => return Ok(ServerEnd::ClientGone),
        ended = session => ended?,
    }
    // If the client no longer reads, no one misses the rest.
    let _ = timeout(LAST_ANSWERS, pipe_end.written()).await;
    Ok(ServerEnd::ClientGone)
}

impl McpServer {
    async fn answer(
        &self,
        call: CallToolRequestParams,
        cancelled: impl Future<Output = ()>,
    ) -> Result<(Value, TextOrigin), String> {
        let tool = tool::named(&self.tools, &call.name)?;
        let order = tool.order(call.arguments.unwrap_or_default(), &self.request)?;
        let answer = self.workers.run(&order, cancelled).await.map_err(|error| error.to_string())?;
        Ok((answer, tool.origin))
    }

    fn shelf<'a>(&'a self, context: &'a RequestContext<RoleServer>) -> DocumentShelf<'a> {
        DocumentShelf { databases: &self.request.databases, workers: &self.workers, context }
    }
}

impl ServerHandler for McpServer {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_resources().build();
        InitializeResult::new(capabilities)
            .with_server_info(Implementation::new("waltop", env!("CARGO_PKG_VERSION")))
            .with_instructions(tool::instructions(&self.request))
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = self.tools.iter().map(|tool| tool.description.clone()).collect();
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(
        &self,
        call: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let answer = self.answer(call, context.ct.cancelled()).await;
        Ok(match answer {
            Ok((answer, origin)) => untrusted::result(answer, origin),
            Err(why) => untrusted::refusal(&why),
        }
        .into())
    }

    async fn list_resource_templates(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(vec![documents::template()]))
    }

    async fn list_resources(
        &self,
        page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let cursor = page.and_then(|page| page.cursor);
        self.shelf(&context).list(cursor.as_deref()).await.map_err(|error| refused(&error))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let read = self.shelf(&context).read(&request.uri).await;
        Ok(read.map_err(|error| refused(&error))?.into())
    }
}

fn refused(error: &CallError) -> ErrorData {
    ErrorData::resource_not_found(untrusted::clean(&error.to_string()), None)
}
