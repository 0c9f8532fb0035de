"""Why a server did not start, from logs in the forms of the servers that people use.

The logs are made up after the forms of vLLM, SGLang, llama.cpp, text-generation-inference and
TensorRT-LLM.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snakeval.serving.log_cause import cause, died

ENGINE = "(EngineCore_0 pid=71) ERROR 11-20 10:00:01 [core.py:708]"
API = "(APIServer pid=7)"


def frames(prefix: str = "", count: int = 2) -> str:
    lines = [
        f'  File "/opt/engine/part{n}.py", line {n}, in step\n    self.step({n})'
        for n in range(count)
    ]
    return "\n".join(f"{prefix}{line}" for frame in lines for line in frame.split("\n"))


NO_MEMORY = (
    "No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when "
    "initializing the engine."
)
#: The cause is 60 lines above, printed twice by the engine; the API server only points at it.
VLLM_CACHE = f"""
{API} INFO 11-20 10:00:00 [api_server.py:1] vLLM API server version 0.11.0
{ENGINE} EngineCore failed to start.
{ENGINE} Traceback (most recent call last):
{frames(ENGINE + " ", 20)}
{ENGINE} ValueError: {NO_MEMORY}
(EngineCore_0 pid=71) Process EngineCore_0:
(EngineCore_0 pid=71) Traceback (most recent call last):
{API} INFO 11-20 10:00:02 [utils.py:3] waiting
{frames("(EngineCore_0 pid=71) ", 20)}
(EngineCore_0 pid=71) ValueError: {NO_MEMORY}
[rank0]:[W1120 10:00:02.1 ProcessGroupNCCL.cpp:1] Warning: destroy_process_group() was not called
{API} Traceback (most recent call last):
{frames(API + " ", 10)}
{API} RuntimeError: Engine core initialization failed. See root cause above. Failed procs: {{}}
"""
VLLM_MODEL_CONFIG = f"""
{API} Traceback (most recent call last):
{frames(API + " ")}
{API} pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig
{API}   Value error, User-specified max_model_len (99999) is greater than the derived \
max_model_len (max_position_embeddings=4096). [type=value_error, input_value=ArgsKwargs((), \
{{'model': 'm'}}), \
input_type=ArgsKwargs]
{API}     For further information visit https://errors.pydantic.dev/2.12/v/value_error
"""
VLLM_TOKENIZER = f"""
Traceback (most recent call last):
{frames()}
ValueError: Couldn't instantiate the backend tokenizer from one of:
(1) a `tokenizers` library serialization file,
(2) a slow tokenizer instance to convert or
(3) an equivalent slow tokenizer class to instantiate and convert.
You need to have sentencepiece or tiktoken installed to convert a slow tokenizer to a fast one.
"""
#: The second of two chained exceptions only points at the first.
VLLM_INSPECTED = f"""
ERROR 11-20 10:00:01 [registry.py:9] Error in inspecting model architecture 'Wonder'
ERROR 11-20 10:00:01 [registry.py:9] Traceback (most recent call last):
{frames("ERROR 11-20 10:00:01 [registry.py:9] ")}
ERROR 11-20 10:00:01 [registry.py:9] ImportError: libwonder.so.2: cannot open shared object file
Traceback (most recent call last):
{frames()}
pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig
  Value error, Model architectures ['Wonder'] failed to be inspected. Please check the logs \
for more \
details. [type=value_error, input_value=ArgsKwargs, input_type=ArgsKwargs]
"""
VLLM_ARGUMENT = """usage: vllm serve [model_tag] [options]
vllm serve: error: unrecognized arguments: --max-modell-len 4096
"""
SGLANG = f"""
[2026-03-03 03:53:30] INFO: server_args=ServerArgs(model_path='m', tp_size=2)
[2026-03-03 03:53:36 TP1] Scheduler hit an exception: Traceback (most recent call last):
{frames()}
RuntimeError: Not enough memory. Please try to increase --mem-fraction-static.

[2026-03-03 03:53:36] Received sigquit from a child process. It usually means the child failed.
[2026-03-03 03:53:37 TP0] Scheduler hit an exception: Traceback (most recent call last):
{frames()}
torch.distributed.DistBackendError: NCCL error in ProcessGroupNCCL.cpp:1, connection closed by peer
[2026-03-03 03:53:38] Received sigquit from a child process. It usually means the child failed.
"""
LLAMA_ARCHITECTURE = """
build: 4205 (c6bc7395) with cc for x86_64-linux-gnu
main: loading model
srv    load_model: loading model 'm.gguf'
llama_model_loader: loaded meta data with 25 key-value pairs and 579 tensors
llama_model_load: error loading model: error loading model architecture: unknown model \
architecture: 'w'
llama_model_load_from_file_impl: failed to load model
common_init_from_params: failed to load model 'm.gguf'
srv    load_model: failed to load model, 'm.gguf'
main: exiting due to model loading error
"""
LLAMA_MEMORY = """
load_tensors: loading model tensors
ggml_backend_cuda_buffer_type_alloc_buffer: allocating 4096.00 MiB on device 0: cudaMalloc \
failed: out \
of memory
alloc_tensor_range: failed to allocate CUDA0 buffer of size 4294967296
llama_model_load: error loading model: unable to allocate CUDA0 buffer
llama_model_load_from_file_impl: failed to load model
srv    load_model: failed to load model, 'm.gguf'
main: exiting due to model loading error
"""
TGI_AT = "2026-03-06T17:53:31.052367Z ERROR"
TGI = f"""
2026-03-06T17:53:22.336246Z  INFO shard-manager: text_generation_launcher: Starting shard rank=0
{TGI_AT} shard-manager: text_generation_launcher: Shard complete standard error output:

Traceback (most recent call last):
{frames()}
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total \
capacity of \
14.00 GiB. Process 1 has 13.90 GiB memory in use.
 rank=0
{TGI_AT} text_generation_launcher: Shard 0 failed to start
2026-03-06T17:53:31.149481Z  INFO text_generation_launcher: Shutting down shards
Error: ShardCannotStart
"""
TGI_SIGNAL = f"""
{TGI_AT} shard-manager: text_generation_launcher: Shard complete standard error output:
 rank=0
{TGI_AT} shard-manager: text_generation_launcher: Shard process was signaled to shutdown with \
signal 4 \
rank=0
Error: ShardCannotStart
"""
TRTLLM = f"""
[11/18/2025-09:33:29] [TRT-LLM] [I] Starting
[11/18/2025-09:33:30] [TRT-LLM] [RANK 0] [E] Failed to initialize executor on rank 0: \
Assertion failed: \
tp_size 4 does not divide 6 heads (/src/worldConfig.cpp:80)
1       0x7a14a782a0f4 tensorrt_llm::common::throwRuntimeError(char const*, int) + 76
2       0x7a14577171ec tensorrt_llm::runtime::create() + 316
Traceback (most recent call last):
{frames()}
RuntimeError: Executor worker returned error
"""
CHAINED = f"""
Traceback (most recent call last):
{frames()}
KeyError: 'wonder'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
{frames()}
ValueError: The checkpoint you are trying to load has model type `wonder`, which is not known.
"""


@pytest.mark.parametrize(
    ("log", "why"),
    [
        pytest.param(VLLM_CACHE, NO_MEMORY, id="vllm, 60 lines above"),
        pytest.param(
            VLLM_MODEL_CONFIG,
            "ModelConfig: User-specified max_model_len (99999) is greater than the derived "
            "max_model_len (max_position_embeddings=4096).",
            id="vllm, the next lines",
        ),
        pytest.param(
            VLLM_TOKENIZER,
            "Couldn't instantiate the backend tokenizer. You need to have "
            "sentencepiece or tiktoken installed to convert a slow tokenizer to a fast one.",
            id="vllm, a list of alternatives",
        ),
        pytest.param(
            VLLM_INSPECTED,
            "ImportError: libwonder.so.2: cannot open shared object file",
            id="vllm, check the logs",
        ),
        pytest.param(
            VLLM_ARGUMENT,
            "vllm serve: error: unrecognized arguments: --max-modell-len 4096",
            id="vllm, an argument",
        ),
        pytest.param(
            SGLANG,
            "Not enough memory. Please try to increase --mem-fraction-static.",
            id="sglang, another rank",
        ),
        pytest.param(
            LLAMA_ARCHITECTURE,
            "llama_model_load: error loading model: error loading model architecture: unknown "
            "model architecture: 'w'",
            id="llama.cpp, higher up",
        ),
        pytest.param(
            LLAMA_MEMORY,
            "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 4096.00 MiB on device 0: "
            "cudaMalloc failed: out of memory",
            id="llama.cpp, the first of several",
        ),
        pytest.param(
            TGI,
            "OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total "
            "capacity of 14.00 GiB. Process 1 has 13.90 GiB memory in use.",
            id="tgi, the shard's output",
        ),
        pytest.param(
            TGI_SIGNAL,
            "Shard process was signaled to shutdown with signal 4",
            id="tgi, a signal",
        ),
        pytest.param(
            TRTLLM,
            "Failed to initialize executor on rank 0: Assertion failed: tp_size 4 does not divide "
            "6 heads (/src/worldConfig.cpp:80)",
            id="trt-llm, the worker",
        ),
        pytest.param(
            CHAINED,
            "The checkpoint you are trying to load has model type `wonder`, which is not known.",
            id="the last of a chain",
        ),
        pytest.param("ready\nshutting down\n", "", id="nothing"),
        pytest.param("", "", id="empty"),
    ],
)
def test_the_cause_is_found(tmp_path: Path, log: str, why: str) -> None:
    (tmp_path / "log").write_text(log)
    assert cause(tmp_path / "log") == why


def test_a_cause_far_above_the_end_is_found(tmp_path: Path) -> None:
    noise = "".join(f"INFO 11-20 10:00:01 [x.py:1] step {n} failed softly\n" for n in range(3000))
    (tmp_path / "log").write_text(f"{VLLM_CACHE}{noise}")
    assert cause(tmp_path / "log") == NO_MEMORY


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("401 for hf_abcdefghijklmnop", "401 for hf_***"),
        ("sent Authorization: Bearer abcdef123456", "sent Authorization: Bearer ***"),
        ("cannot reach http://me:pw123456@proxy:1", "cannot reach http://***@proxy:1"),
        ("api_key='0123456789abc' is wrong", "api_key='***' is wrong"),
        ("max_tokens=32 is wrong", "max_tokens=32 is wrong"),
    ],
)
def test_secrets_are_not_in_a_cause(tmp_path: Path, text: str, shown: str) -> None:
    (tmp_path / "log").write_text(f"Traceback (most recent call last):\n  x\nValueError: {text}\n")
    assert cause(tmp_path / "log") == shown


def test_a_long_cause_ends_after_a_sentence_and_its_characters_are_visible(tmp_path: Path) -> None:
    words = "More words. " * 90
    (tmp_path / "log").write_text(
        f"Traceback (most recent call last):\n  x\nValueError: One \u202ething. {words}\n"
    )
    found = cause(tmp_path / "log")
    assert found.startswith("One ‹U+202E›thing. More words.")
    assert found.endswith("words.")
    assert len(found) <= 300


@pytest.mark.parametrize(
    ("log", "dead"),
    [
        ("ERROR 11-20 10:00:01 [a.py:1] Engine core proc EngineCore_0 died unexpectedly\n", True),
        ("vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.\n", True),
        ("INFO: Shutting down\nINFO: Application shutdown complete.\n", False),
    ],
)
def test_a_killed_process_is_recognized(tmp_path: Path, log: str, dead: bool) -> None:
    (tmp_path / "log").write_text(log)
    assert died(tmp_path / "log") == dead


@settings(max_examples=60)
@given(
    st.lists(st.one_of(st.sampled_from(SGLANG.splitlines() + VLLM_CACHE.splitlines()), st.text()))
)
def test_any_log_has_a_short_visible_cause_or_none(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    log = tmp_path_factory.getbasetemp() / "any.log"
    log.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    found = cause(log)
    assert len(found) <= 300
    assert found.isprintable()
