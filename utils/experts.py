"""Mixtures of experts as graphs that hold for any text.

transformers runs only the experts that a text asks for: a tracer would write down those of the
traced texts, and sorting tokens by expert has no ONNX operator. Here every expert sees every token
and the router's weights, zero for most, choose afterwards.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from utils.frameworks import torch, transformers

ALL_EXPERTS = "all_experts"


def run_all_experts(
    self: Any,
    hidden_states: torch.Tensor,
    top_k_index: torch.Tensor,
    top_k_weights: torch.Tensor,
) -> torch.Tensor:
    """The `forward` of a transformers module of experts: FP32 [tokens, hidden] to the same.

    Args:
        self: the module.
        hidden_states: [tokens, hidden].
        top_k_index: numbers of the experts that the router chose, [tokens, k].
        top_k_weights: their weights, [tokens, k].
    """
    experts = torch.arange(self.num_experts, device=hidden_states.device)
    # [tokens, experts]
    chosen = top_k_index.unsqueeze(-1) == experts
    weights = (chosen * top_k_weights.unsqueeze(-1)).sum(dim=1)
    # [experts, tokens, …] from here on
    states = hidden_states.unsqueeze(0)
    states = _project(self, states, "gate_up_proj" if self.has_gate else "up_proj")
    states = self._apply_gate(states) if self.has_gate else self.act_fn(states)
    states = _project(self, states, "down_proj")
    if self.has_post_expert_norm:
        states = self.post_expert_norm(states)
    combined: torch.Tensor = (states * weights.T.unsqueeze(-1)).sum(dim=0)
    return combined.to(hidden_states.dtype)


def _project(self: Any, states: torch.Tensor, name: str) -> torch.Tensor:
    matrix = getattr(self, name)
    states = states @ (matrix if self.is_transposed else matrix.transpose(1, 2))
    if self.has_bias:
        states = states + getattr(self, f"{name}_bias").unsqueeze(1)
    return states


@contextlib.contextmanager
def all_experts(model: Any) -> Iterator[None]:
    """Let the model run all experts until the block ends."""
    # transformers before 5 (--exporter optimum) has no such switch.
    if not hasattr(model, "set_experts_implementation"):
        yield
        return
    transformers.integrations.moe.ALL_EXPERTS_FUNCTIONS.register(ALL_EXPERTS, run_all_experts)
    before = model.get_experts_implementation()
    model.set_experts_implementation(ALL_EXPERTS)
    try:
        yield
    finally:
        model.set_experts_implementation(before)
