// Draws the reference from /openapi.json. All text goes in as text: nothing of the document is ever taken for markup.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];

function element(name, text, children) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  for (const child of children || []) made.append(child);
  return made;
}

function table(header, rows) {
  const cells = (kind, texts) => element("tr", "", texts.map((text) => element(kind, String(text ?? ""))));
  return element("table", "", [cells("th", header), ...rows.map((row) => cells("td", row))]);
}

function typeOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.join(" | ");
  const all = schema.oneOf || schema.anyOf || schema.allOf;
  if (all) return all.map(typeOf).filter((type) => type !== "null").join(" | ");
  if (schema.type === "array" || (Array.isArray(schema.type) && schema.type.includes("array"))) {
    return "[" + typeOf(schema.items) + "]";
  }
  const type = Array.isArray(schema.type) ? schema.type.filter((one) => one !== "null").join(" | ") : schema.type;
  return schema.format ? `${type} (${schema.format})` : type || "object";
}

function drawSchema(name, schema) {
  const drawn = element("details", "", [element("summary", "", [element("code", name)])]);
  drawn.id = "schema-" + name;
  if (schema.description) drawn.append(element("p", schema.description));
  const required = schema.required || [];
  const fields = Object.entries(schema.properties || {});
  if (fields.length) {
    drawn.append(table(["field", "type", "needed", ""], fields.map(([field, of]) =>
      [field, typeOf(of), required.includes(field) ? "yes" : "", of.description])));
  } else {
    drawn.append(element("p", typeOf(schema)));
  }
  return drawn;
}

function drawOperation(method, path, operation) {
  const summary = element("summary", "", [
    Object.assign(element("span", method.toUpperCase()), { className: "method" }),
    element("code", path),
    element("span", " " + (operation.summary || "")),
  ]);
  const drawn = element("details", "", [summary]);
  drawn.id = operation.operationId || "";
  if (operation.description) drawn.append(element("p", operation.description));
  const parameters = operation.parameters || [];
  if (parameters.length) {
    drawn.append(element("h4", "Parameters"), table(["name", "in", "type", "needed", ""], parameters.map((it) =>
      [it.name, it.in, typeOf(it.schema), it.required ? "yes" : "", it.description])));
  }
  const body = operation.requestBody?.content?.["application/json"];
  if (body) drawn.append(element("h4", "Body"), element("p", "", [element("code", typeOf(body.schema))]));
  const messages = operation["x-live"]?.messages;
  if (messages) {
    drawn.append(element("h4", "Messages"), table(["kind", "from", "data", ""], messages.map((it) =>
      [it.name, it.from, typeOf(it.schema), it.description])));
  }
  const answers = Object.entries(operation.responses || {});
  drawn.append(element("h4", "Answers"), table(["status", "", "body"], answers.map(([status, answer]) =>
    [status, answer.description, typeOf(Object.values(answer.content || {})[0]?.schema)])));
  return drawn;
}

function draw([api, reasons]) {
  const main = document.getElementById("operations");
  const contents = document.getElementById("contents");
  document.getElementById("about").textContent = api.info.description || "";
  const byTag = new Map();
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((method) => item[method])) {
      const tag = (item[method].tags || ["other"])[0];
      if (!byTag.has(tag)) byTag.set(tag, []);
      byTag.get(tag).push(drawOperation(method, path, item[method]));
    }
  }
  const sections = [...byTag, ["schemas", Object.entries(api.components?.schemas || {}).map(([name, schema]) =>
    drawSchema(name, schema))]];
  for (const [name, entries] of sections) {
    const heading = element("h2", name);
    heading.id = "section-" + name;
    main.append(heading, ...entries);
    const link = element("a", name);
    link.href = "#" + heading.id;
    contents.append(link, " ");
  }
  drawReasons(reasons, main);
}

// Each problem's type points here.
function drawReasons(reasons, main) {
  main.append(element("h2", "reasons"));
  for (const { reason, status, retry, effect, text } of reasons) {
    const heading = element("h3", "", [element("code", reason)]);
    heading.id = reason;
    main.append(heading, element("p", `${status}, retry: ${retry}, effect: ${effect}`), element("p", text));
  }
  const wanted = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (wanted) wanted.scrollIntoView();
}

Promise.all(["/openapi.json", "/docs/reasons.json"].map((path) => fetch(path).then((reply) => reply.json())))
  .then(draw)
  .catch((error) => document.getElementById("operations").append(element("p", "the document was not read: " + error)));
