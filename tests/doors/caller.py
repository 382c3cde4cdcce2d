"""A client in Python: reads steps as lines of JSON, asks a cluster for each by gRPC, and writes what came of it as a line of JSON.

    caller.py protos     by code made from the .proto files with grpcio-tools
    caller.py reflection by nothing but what the node says of itself

It does what docs/clients.md asks of a client, but for retries: it repeats nothing, and follows NOT_LEADER once a step.
"""

import importlib
import json
import os
import pathlib
import sys
import tempfile
import time

import grpc
import xxhash
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status
from google.rpc import error_details_pb2

SLOTS = 16384
TIMEOUT_S = 60


class MadeFromProtos:
    """Stubs and messages as grpcio-tools makes them."""

    def __init__(self, protos):
        from grpc_tools import protoc

        folder = tempfile.mkdtemp(prefix="holdfast-protos-")
        files = [str(file) for file in sorted(pathlib.Path(protos, "holdfast", "v1").glob("*.proto"))]
        if protoc.main(["protoc", f"-I{protos}", f"--python_out={folder}", f"--grpc_python_out={folder}", *files]) != 0:
            raise SystemExit("the protos do not compile")
        sys.path.insert(0, folder)

    def call(self, channel, service, method, request):
        file = {"InventoryService": "inventory", "ClusterService": "cluster"}[service]
        stubs = importlib.import_module(f"holdfast.v1.{file}_pb2_grpc")
        messages = importlib.import_module(f"holdfast.v1.{file}_pb2")
        filled = json_format.ParseDict(request, getattr(messages, f"{method}Request")())
        return getattr(getattr(stubs, f"{service}Stub")(channel), method)(filled, timeout=TIMEOUT_S)


class ToldByTheNode:
    """Messages as the node describes them by reflection."""

    def call(self, channel, service, method, request):
        pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        described = pool.FindServiceByName(f"holdfast.v1.{service}").methods_by_name[method]
        asked, answered = (message_factory.GetMessageClass(it) for it in (described.input_type, described.output_type))
        stub = channel.unary_unary(
            f"/holdfast.v1.{service}/{method}",
            request_serializer=asked.SerializeToString,
            response_deserializer=answered.FromString,
        )
        return stub(json_format.ParseDict(request, asked()), timeout=TIMEOUT_S)


class Client:
    """Finds leaders, mints ids."""

    def __init__(self, api, addresses):
        self.api = api
        self.channels = {address: grpc.insecure_channel(address) for address in addresses}
        self.reservations = {}
        self.route()

    def ask(self, address, service, method, request):
        answer = self.api.call(self.channels[address], service, method, request)
        return json_format.MessageToDict(answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)

    def route(self):
        """Asks any node for the slot map, until every shard has a leader."""
        while True:
            for address in self.channels:
                told = self.ask(address, "ClusterService", "GetRouting", {})
                members = {it["node_id"]: it["client_address"] for it in told["members"]}
                leaders = {it["shard"]: members.get(it["leader_node_id"]) for it in told["shards"]}
                if leaders and all(leaders.values()):
                    self.slots, self.leaders = told["slots"], leaders
                    # Ids are minted from cluster time, never from the wall clock.
                    self.time_ms, self.told_at = int(told["log_time_ms"]), time.monotonic()
                    return
            time.sleep(0.1)

    def now_ms(self):
        return self.time_ms + int((time.monotonic() - self.told_at) * 1000)

    def leader_of(self, slot):
        shard = next(it["shard"] for it in self.slots if it["first"] <= slot <= it["last"])
        return self.leaders[shard]

    def mint(self, version, slot=None):
        """An id of 128 bits, as docs/clients.md lays it out."""
        random = int.from_bytes(os.urandom(10), "big")
        low = (random & ((1 << 62) - 1)) | (0b10 << 62)
        if slot is not None:
            low = (low & ~(((1 << 14) - 1) << 48)) | (slot << 48)
        high = (self.now_ms() << 16) | (version << 12) | (random >> 68)
        return {"high": str(high), "low": str(low)}

    def execute(self, slot, operation):
        command_id = self.mint(7)
        minted_at_ms = int(command_id["high"]) >> 16
        request = {"command": {"command_id": command_id, "minted_at_ms": str(minted_at_ms), **operation}}
        for attempt in range(2):
            try:
                result = self.ask(self.leader_of(slot), "InventoryService", "Execute", request)["result"]
                return {"refused": refusal(result["error"])} if "error" in result else {"done": success(result["success"])}
            except grpc.RpcError as error:
                told = status(error)
                if told["reason"] != "NOT_LEADER" or attempt == 1:
                    return {"refused": told}
                self.route()

    def stock(self, sku):
        slot = slot_of(sku)
        levels = self.ask(self.leader_of(slot), "InventoryService", "GetStock", {"sku": sku})["levels"]
        return {"stock": {name: value for name, value in numbers(levels[0]).items()}}


def slot_of(sku):
    return xxhash.xxh3_64_intdigest(sku.encode()) % SLOTS


def numbers(fields):
    return {name: int(value) for name, value in fields.items() if isinstance(value, (int, str)) and str(value).lstrip("-").isdigit()}


def short(name, prefix):
    return name.removeprefix(prefix).lower()


def success(told):
    return {
        "revision": int(told["revision"]),
        "atp_after": int(told["atp_after"]),
        "state": short(told["state"], "RESERVATION_STATE_").replace("unspecified", ""),
    }


def refusal(told):
    return {
        "reason": told["reason"].removeprefix("ERROR_REASON_"),
        "message": told["message"],
        "field": told["field"],
        "retry": short(told["retry"], "RETRY_"),
        "effect": short(told["effect"], "EFFECT_"),
        "metadata": told["metadata"],
    }


def status(error):
    """What a call that failed says: the reason stands in its google.rpc.ErrorInfo."""
    info = error_details_pb2.ErrorInfo()
    for detail in getattr(rpc_status.from_call(error), "details", []):
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
    said = dict(info.metadata)
    field, retry, effect = (said.pop(name, "") for name in ("field", "retry", "effect"))
    return {"reason": info.reason, "message": error.details(), "field": field, "retry": retry, "effect": effect, "metadata": said}


def step(client, asked):
    verb, sku = asked["verb"], asked.get("sku", "")
    if verb == "stock":
        return client.stock(sku)
    if verb in ("put_item", "receive", "adjust", "set"):
        fields = {name: value for name, value in asked.items() if name not in ("verb", "reservation")}
        operation = {"put_item": {"item": fields}} if verb == "put_item" else {verb: fields}
        return client.execute(slot_of(sku), operation)
    if verb == "reserve":
        slot = slot_of(sku)
        client.reservations[asked["reservation"]] = (slot, client.mint(8, slot))
        slot, name = client.reservations[asked["reservation"]]
        return client.execute(slot, {"reserve": {"reservation_id": name, "lines": [{"sku": sku, "units": asked["units"]}]}})
    slot, name = client.reservations.setdefault(asked["reservation"], (0, client.mint(8, 0)))
    fields = {"reservation_id": name}
    if "ttl_s" in asked:
        fields["ttl_s"] = asked["ttl_s"]
    if "units" in asked:
        fields["lines"] = [{"line": 0, "units": asked["units"]}]
    return client.execute(slot, {verb: fields})


def main():
    how, protos, addresses = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
    api = {"protos": lambda: MadeFromProtos(protos), "reflection": ToldByTheNode}[how]()
    client = Client(api, addresses)
    for line in sys.stdin:
        print(json.dumps(step(client, json.loads(line))), flush=True)


main()
