"""Hides personal data in JSON payloads: replaces fields by a keyed hash or by stars, or removes them.

README.md has the configuration. A payload that is not a JSON object is refused, so that nothing slips through unmasked.
"""

import dataclasses
import hashlib
import hmac
import json
import re
import warnings  # noqa: F401: hmac imports it when it first runs, and a plugin has no files to import from then

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports.types import Outcome_Keep, Outcome_Refuse, Outcome_Replace

MODES = ("redact", "hash", "remove")

# Set by `init`. It is not a field of `Plugin`, because every call gets a fresh object of that class.
masker = None


class Plugin(exports.Plugin):
    def init(self, config: str) -> None:
        global masker
        try:
            masker = Masker(json.loads(config))
        except ValueError as error:
            raise Err(str(error))

    def transform(self, batch):
        return [outcome(message.outgoing) for message in batch]


def outcome(record):
    """What becomes of one message."""
    if record.value is None:
        return Outcome_Keep()
    try:
        payload = json.loads(record.value)
    except ValueError:
        return Outcome_Refuse("the payload is not JSON; it cannot be masked")
    if not isinstance(payload, dict):
        return Outcome_Refuse("the payload is not a JSON object; it cannot be masked")
    masked, hits = masker.mask(payload)
    if hits == 0:
        return Outcome_Keep()
    value = json.dumps(masked, separators=(",", ":"), ensure_ascii=False).encode()
    return Outcome_Replace([dataclasses.replace(record, value=value)])


class Masker:
    """The configuration, and what it does to a payload. Knows no message. Raises ValueError for a bad configuration."""

    def __init__(self, settings: dict):
        unknown = set(settings) - {"fields", "mode", "secret", "patterns"}
        if unknown:
            raise ValueError(f"unknown setting: {', '.join(sorted(unknown))}")
        self.paths = [field.split(".") for field in settings.get("fields", [])]
        self.patterns = [compiled(pattern) for pattern in settings.get("patterns", [])]
        if not self.paths and not self.patterns:
            raise ValueError("neither `fields` nor `patterns` is given; there is nothing to mask")
        self.mode = settings.get("mode", MODES[0])
        if self.mode not in MODES:
            raise ValueError(f"`mode` is {self.mode!r}; it can be {', '.join(MODES)}")
        self.secret = settings.get("secret", "").encode()
        if self.mode == "hash" and not self.secret:
            raise ValueError("`mode` hash needs a `secret`: without one anybody can hash what they guess")

    def mask(self, payload):
        """The masked payload, and how many places were masked."""
        fields = sum(self.mask_field(payload, path) for path in self.paths)
        payload, texts = self.mask_texts(payload)
        return payload, fields + texts

    def mask_field(self, node, path) -> int:
        """Masks what lies at `path` in place, also in every element of a list on the way."""
        if isinstance(node, list):
            return sum(self.mask_field(item, path) for item in node)
        if not isinstance(node, dict) or path[0] not in node:
            return 0
        if len(path) > 1:
            return self.mask_field(node[path[0]], path[1:])
        if self.mode == "remove":
            del node[path[0]]
        elif self.mode == "hash":
            node[path[0]] = self.hashed(node[path[0]])
        else:
            node[path[0]] = "***"
        return 1

    def hashed(self, value) -> str:
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        return hmac.new(self.secret, text.encode(), hashlib.sha256).hexdigest()[:32]

    def mask_texts(self, node):
        """Replaces what the patterns find in any text of `node`."""
        if isinstance(node, str):
            hits = 0
            for pattern in self.patterns:
                node, found = pattern.subn("***", node)
                hits += found
            return node, hits
        if isinstance(node, list):
            pairs = [self.mask_texts(item) for item in node]
            return [item for item, _ in pairs], sum(hits for _, hits in pairs)
        if isinstance(node, dict):
            pairs = {key: self.mask_texts(item) for key, item in node.items()}
            return {key: item for key, (item, _) in pairs.items()}, sum(hits for _, hits in pairs.values())
        return node, 0


def compiled(pattern: str) -> re.Pattern:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"`patterns`: {pattern}: {error}")
