//! raft-engine 0.4.2, fed with raw bytes.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use protobuf::reflect::MessageDescriptor;
use protobuf::{Clear, CodedInputStream, CodedOutputStream, Message, ProtobufResult, UnknownFields};
use raft_engine::{Command, Config, Engine, LogBatch, MessageExt, ReadableSize};

/// An entry as raft-engine wants it: a protobuf message whose bytes are taken as they are, behind the index.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RawEntry {
    index: u64,
    payload: Bytes,
    unknown: UnknownFields,
}

impl Clear for RawEntry {
    fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Message for RawEntry {
    fn descriptor(&self) -> &'static MessageDescriptor {
        unreachable!("raft-engine does not reflect on entries")
    }

    fn is_initialized(&self) -> bool {
        true
    }

    fn merge_from(&mut self, input: &mut CodedInputStream<'_>) -> ProtobufResult<()> {
        self.index = input.read_fixed64()?;
        let left = input.bytes_until_limit();
        self.payload = Bytes::from(input.read_raw_bytes(u32::try_from(left).unwrap_or(u32::MAX))?);
        Ok(())
    }

    fn write_to_with_cached_sizes(&self, output: &mut CodedOutputStream<'_>) -> ProtobufResult<()> {
        output.write_raw_bytes(&self.index.to_le_bytes())?;
        output.write_raw_bytes(&self.payload)
    }

    fn compute_size(&self) -> u32 {
        8 + self.payload.len() as u32
    }

    fn get_cached_size(&self) -> u32 {
        self.compute_size()
    }

    fn get_unknown_fields(&self) -> &UnknownFields {
        &self.unknown
    }

    fn mut_unknown_fields(&mut self) -> &mut UnknownFields {
        &mut self.unknown
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn new() -> Self {
        Self::default()
    }

    fn default_instance() -> &'static Self {
        unreachable!("raft-engine makes entries with `new`")
    }
}

struct Raw;

impl MessageExt for Raw {
    type Entry = RawEntry;

    fn index(entry: &RawEntry) -> u64 {
        entry.index
    }
}

pub(crate) struct RaftEngine {
    engine: Engine,
}

/// For a task, the same call is made on a thread of tokio's that may block.
async fn where_it_may_block(call: impl FnOnce() + Send + 'static) {
    tokio::task::spawn_blocking(call).await.unwrap();
}

impl RaftEngine {
    pub(crate) fn open(dir: &Path) -> Self {
        let config = Config {
            dir: dir.join("raft-engine").to_str().unwrap().to_owned(),
            batch_compression_threshold: ReadableSize(0),
            target_file_size: ReadableSize::mb(64),
            ..Config::default()
        };
        Self { engine: Engine::open(config).unwrap() }
    }
}

impl super::Engine for RaftEngine {
    fn append(&self, group: u64, index: u64, payload: &Bytes) {
        let mut batch = LogBatch::default();
        let entry = RawEntry { index, payload: payload.clone(), unknown: UnknownFields::new() };
        batch.add_entries::<Raw>(group, &[entry]).unwrap();
        self.engine.write(&mut batch, true).unwrap();
    }

    fn purge(&self, group: u64, upto: u64) {
        let mut batch = LogBatch::default();
        batch.add_command(group, Command::Compact { index: upto });
        self.engine.write(&mut batch, true).unwrap();
    }

    fn append_in_task(self: Arc<Self>, group: u64, index: u64, payload: Bytes) -> BoxFuture<'static, ()> {
        Box::pin(where_it_may_block(move || super::Engine::append(&*self, group, index, &payload)))
    }

    fn purge_in_task(self: Arc<Self>, group: u64, upto: u64) -> BoxFuture<'static, ()> {
        Box::pin(where_it_may_block(move || super::Engine::purge(&*self, group, upto)))
    }
}
