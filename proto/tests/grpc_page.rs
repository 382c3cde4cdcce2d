//! docs/grpc.md is what the protos of the public API say: services, methods, messages and enums, with their comments.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    MethodDescriptorProto, ServiceDescriptorProto,
};

/// The files of the page, in its order.
const FILES: [&str; 9] =
    ["inventory", "commands", "types", "errors", "events", "cluster", "shards", "alerts", "endpoints"];

const HEAD: &str = "\
# gRPC

Every service of the public API (`holdfast.v1`), with its methods and all that they are asked with and answer. This page is written by a test from the comments of
`proto/holdfast/v1/` (`proto/tests/grpc_page.rs`).

- **Where.** Every node serves all of it at its `client` address: 127.0.0.1:7400, 7410 and 7420 under `holdfast up`. A node describes it by reflection, too (`grpc.reflection.v1`
  and `v1alpha`), and tells its health (`grpc.health.v1`).
- **How.** [Call it by gRPC](howto/call-by-grpc.md) is a caller in Python, step by step; [clients](clients.md) says what every client does: where a command goes, how ids are
  minted, what may be asked again. Over HTTP there is [REST](rest.md), which does all of that itself.
- **Errors.** A call that fails has a `google.rpc.ErrorInfo` of the domain `holdfast.dev` in its details, with a reason of [errors](errors.md) and metadata: `field`, `retry`, `effect`,
  and what the reason needs. In batches and sessions each command has a [CommandError](#commanderror) of its own.
- **Bounds.** A request has 1 MiB and 8 192 commands at most. A node waits for it as long as its `limits.request_timeout_ms`; what else bounds it: [configuration](configuration.md#limits).
- **Which cluster.** The metadata `holdfast-cluster` names the `cluster_id` that a request is for; another cluster refuses it (`WRONG_CLUSTER`). Without it whichever is reached answers.

Numbers are those of the fields on the wire. A field that is not sent is 0, empty or false, unless it is `optional` or a message. Before 1.0 the wire may change with any version.
";

fn files() -> Vec<FileDescriptorProto> {
    let all = FileDescriptorSet::decode(holdfast_proto::DESCRIPTORS).expect("the descriptors of the build");
    let of_api = |file: &FileDescriptorProto| file.package() == "holdfast.v1";
    let found: Vec<FileDescriptorProto> = all.file.into_iter().filter(of_api).collect();
    let name = |file: &FileDescriptorProto| file.name().rsplit('/').next().unwrap_or_default().replace(".proto", "");
    let listed: BTreeSet<String> = FILES.map(str::to_owned).into();
    assert_eq!(found.iter().map(name).collect::<BTreeSet<_>>(), listed, "the page has a place for each file");
    let of_name = |wanted: &&str| found.iter().find(|file| name(file) == **wanted).expect("it is listed").clone();
    FILES.iter().map(of_name).collect()
}

/// The comments of a file, by where in it they stand.
struct Comments(BTreeMap<Vec<i32>, String>);

impl Comments {
    fn of(file: &FileDescriptorProto) -> Self {
        let places = file.source_code_info.iter().flat_map(|info| &info.location);
        Self(places.map(|place| (place.path.clone(), escaped(place.leading_comments()))).collect())
    }

    fn at(&self, path: &[i32]) -> &str {
        self.0.get(path).map(String::as_str).unwrap_or_default()
    }
}

/// A comment as it stands in a cell of a table: on one line, nothing of it taken for markup.
fn escaped(comment: &str) -> String {
    let words: Vec<&str> = comment.split_whitespace().collect();
    let line = words.join(" ").replace('|', "\\|");
    let parts = line.split('`').enumerate();
    let parts = parts.map(|(at, part)| if at % 2 == 0 { part.replace('<', "&lt;") } else { part.to_owned() });
    parts.collect::<Vec<_>>().join("`")
}

fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or_default()
}

fn link(name: &str) -> String {
    format!("[{0}](#{1})", short(name), short(name).to_lowercase())
}

/// The page as it is put together.
#[derive(Default)]
struct Page {
    text: String,
    /// Names of headings, each of which can be linked to.
    headings: BTreeSet<String>,
    /// What has no comment and needs one.
    unsaid: Vec<String>,
}

impl Page {
    fn heading(&mut self, depth: usize, title: &str) {
        assert!(self.headings.insert(title.to_lowercase()), "two headings `{title}`: links would lead to the first");
        let _infallible = writeln!(self.text, "\n{} {title}\n", "#".repeat(depth));
    }

    fn paragraph(&mut self, text: &str) {
        if !text.is_empty() {
            let _infallible = writeln!(self.text, "{text}\n");
        }
    }

    fn rows(&mut self, head: &str, rows: impl Iterator<Item = String>) {
        let columns = head.matches('|').count() - 1;
        let _infallible = writeln!(self.text, "{head}\n|{}", " --- |".repeat(columns));
        for row in rows {
            self.text += &row;
            self.text.push('\n');
        }
    }
}

/// A message with the comments of its file, and where in it it stands.
#[derive(Clone, Copy)]
struct Described<'a> {
    message: &'a DescriptorProto,
    comments: &'a Comments,
    at: usize,
}

impl Described<'_> {
    fn comment(&self) -> &str {
        self.comments.at(&[4, self.at as i32])
    }

    fn type_of(&self, field: &FieldDescriptorProto) -> String {
        let map =
            self.message.nested_type.iter().find(|nested| field.type_name().ends_with(&format!(".{}", nested.name())));
        if let Some(map) = map {
            let of = |at: usize| scalar(&map.field[at]);
            return format!("map of {} to {}", of(0), of(1));
        }
        let one = match field.r#type() {
            Type::Message | Type::Enum => link(field.type_name()),
            _ => scalar(field),
        };
        if field.label() == Label::Repeated {
            return format!("repeated {one}");
        }
        match field.oneof_index {
            Some(_) if field.proto3_optional() => format!("optional {one}"),
            Some(at) => format!("{one}, one of `{}`", self.message.oneof_decl[at as usize].name()),
            None => one,
        }
    }

    fn fields(&self, page: &mut Page) {
        if self.message.field.is_empty() {
            page.paragraph("It has no fields.");
            return;
        }
        let rows = self.message.field.iter().enumerate().map(|(at, field)| {
            let comment = self.comments.at(&[4, self.at as i32, 2, at as i32]);
            format!("| {} | `{}` | {} | {comment} |", field.number(), field.name(), self.type_of(field))
        });
        page.rows("| | field | type | |", rows);
    }
}

fn scalar(field: &FieldDescriptorProto) -> String {
    format!("`{}`", field.r#type().as_str_name().trim_start_matches("TYPE_").to_lowercase())
}

fn service(
    page: &mut Page,
    service: &ServiceDescriptorProto,
    comments: &Comments,
    all: &BTreeMap<String, Described<'_>>,
) {
    page.heading(2, service.name());
    page.paragraph(comments.at(&[2]));
    let said = |at: usize| comments.at(&[6, 0, 2, at as i32]);
    page.rows(
        "| method | |",
        service.method.iter().enumerate().map(|(at, method)| format!("| {} | {} |", link(method.name()), said(at))),
    );
    for (at, method) in service.method.iter().enumerate() {
        if said(at).is_empty() {
            page.unsaid.push(format!("{}.{}", service.name(), method.name()));
        }
        page.heading(3, method.name());
        page.paragraph(said(at));
        one_way(page, method.client_streaming(), method.input_type(), all, "asked with");
        one_way(page, method.server_streaming(), method.output_type(), all, "answers");
    }
}

fn one_way(page: &mut Page, is_stream: bool, name: &str, all: &BTreeMap<String, Described<'_>>, what: &str) {
    let described = all[short(name)];
    let stream = if is_stream { "a stream of " } else { "" };
    let comment = described.comment();
    let comment = if comment.is_empty() { String::new() } else { format!(" {comment}") };
    page.paragraph(&format!("{what} {stream}`{}`.{comment}", short(name)).replacen(
        &what[..1],
        &what[..1].to_uppercase(),
        1,
    ));
    described.fields(page);
    if !described.message.field.is_empty() {
        page.text.push('\n');
    }
}

fn enumeration(page: &mut Page, described: &EnumDescriptorProto, at: usize, comments: &Comments) {
    page.heading(3, described.name());
    page.paragraph(comments.at(&[5, at as i32]));
    let rows = described.value.iter().enumerate().map(|(value_at, value)| {
        let comment = comments.at(&[5, at as i32, 2, value_at as i32]);
        let reason = value.name().strip_prefix("ERROR_REASON_").filter(|name| *name != "UNSPECIFIED");
        let page = reason.map(|reason| format!("[{reason}](errors/{reason}.md)"));
        format!("| {} | `{}` | {} |", value.number(), value.name(), page.as_deref().unwrap_or(comment))
    });
    page.rows("| | value | |", rows);
}

fn written() -> String {
    let files = files();
    let comments: Vec<Comments> = files.iter().map(Comments::of).collect();
    let messages = |at: usize| {
        let comments = &comments[at];
        let of_file = files[at].message_type.iter().enumerate();
        of_file.map(move |(at, message)| Described { message, comments, at })
    };
    let all: BTreeMap<String, Described<'_>> =
        (0..files.len()).flat_map(messages).map(|it| (it.message.name().to_owned(), it)).collect();
    let methods = || files.iter().flat_map(|file| &file.service).flat_map(|service| &service.method);
    let of_methods: BTreeSet<&str> = methods()
        .flat_map(|method: &MethodDescriptorProto| [short(method.input_type()), short(method.output_type())])
        .collect();
    assert_eq!(of_methods.len(), 2 * methods().count(), "each method has a request and a response of its own");

    let mut page = Page { text: HEAD.to_owned(), ..Page::default() };
    page.text.push('\n');
    let services =
        files.iter().zip(&comments).flat_map(|(file, comments)| file.service.iter().map(move |it| (it, comments)));
    page.rows(
        "| service | |",
        services.clone().map(|(service, comments)| format!("| {} | {} |", link(service.name()), comments.at(&[2]))),
    );
    for (described, comments) in services {
        service(&mut page, described, comments, &all);
    }
    for (at, file) in files.iter().enumerate() {
        let rest: Vec<_> = messages(at).filter(|it| !of_methods.contains(it.message.name())).collect();
        if rest.is_empty() && file.enum_type.is_empty() {
            continue;
        }
        page.heading(2, &format!("Messages of {}", file.name().rsplit('/').next().unwrap_or_default()));
        if file.service.is_empty() {
            page.paragraph(comments[at].at(&[2]));
        }
        for described in rest {
            page.heading(3, described.message.name());
            page.paragraph(described.comment());
            described.fields(&mut page);
        }
        for (enum_at, described) in file.enum_type.iter().enumerate() {
            enumeration(&mut page, described, enum_at, &comments[at]);
        }
    }
    assert!(page.unsaid.is_empty(), "methods without a comment in the protos: {:?}", page.unsaid);
    // No two empty lines in a row, and none at the end.
    let mut text = page.text;
    while text.contains("\n\n\n") {
        text = text.replace("\n\n\n", "\n\n");
    }
    text.trim_end().to_owned() + "\n"
}

/// `INSTA_UPDATE=always` writes the page anew.
#[test]
fn the_page_is_what_the_protos_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/grpc.md");
    let text = written();
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&path, &text).expect("the page is written");
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(page == text, "docs/grpc.md is out of date: run this test with INSTA_UPDATE=always");
}

#[test]
fn nothing_of_a_comment_is_taken_for_markup() {
    assert_eq!(escaped(" One | of\n `a<b` or <c>.\n"), "One \\| of `a<b` or &lt;c>.");
}
