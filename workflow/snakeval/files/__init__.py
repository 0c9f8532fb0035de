"""Reads and writes the files of snakeval, and knows how damage shows in them."""

from snakeval.files.damage import (
    discard,
    make_way,
    make_way_for_file,
    read_state,
    repair_damaged_state,
    set_aside,
)
from snakeval.files.directory import Directory
from snakeval.files.parsing import (
    DAMAGE,
    TwiceError,
    has_seal,
    json_object,
    json_value,
    sealed,
    without_seal,
    yaml_value,
)
from snakeval.files.places import domain, home, in_one_sentence, unwritable
from snakeval.files.reading import (
    NotAFileError,
    read_bytes,
    read_json,
    read_list,
    read_text,
    sha256_of,
    without_waiting,
)
from snakeval.files.writing import (
    create_exclusively,
    has_linked,
    lead,
    make_directory,
    replace_link,
    replacing,
    write_atomically,
    write_if_changed,
)

__all__ = [
    "DAMAGE",
    "Directory",
    "NotAFileError",
    "TwiceError",
    "create_exclusively",
    "discard",
    "domain",
    "has_linked",
    "has_seal",
    "home",
    "in_one_sentence",
    "json_object",
    "json_value",
    "lead",
    "make_directory",
    "make_way",
    "make_way_for_file",
    "read_bytes",
    "read_json",
    "read_list",
    "read_state",
    "read_text",
    "repair_damaged_state",
    "replace_link",
    "replacing",
    "sealed",
    "set_aside",
    "sha256_of",
    "unwritable",
    "without_seal",
    "without_waiting",
    "write_atomically",
    "write_if_changed",
    "yaml_value",
]
