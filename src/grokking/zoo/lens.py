"""A transformer of this laboratory as a HookedTransformer of TransformerLens, which gives the same logits.

TransformerLens is no dependency: requirements-lens.txt installs it.
"""

# B pairs, S positions, D width, H heads of width d, N hidden width of the MLP, V classes

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn

from grokking.config import ConfigError
from grokking.models import sequences
from grokking.models.transformer import Block, Transformer, TransformerConfig

if TYPE_CHECKING:
    from transformer_lens import HookedTransformer

# what TransformerLens has no place for: key, values, why
REFUSED = (
    ("pooling", {"mean"}, "it reads out each position, and never their mean"),
    ("norm", {"post"}, "it normalises what a sublayer reads, and never the sum after it"),
    ("activation", {"square", "swiglu"}, "its MLPs have other activations, or another place for their bias"),
)
NORMS = {"layer": "LN", "rms": "RMS"}


def hooked_transformer(network: nn.Module) -> "HookedTransformer":
    """The same network in TransformerLens; it takes `tokens(network, a, b)` and answers at the last position.

    ConfigError for a network that TransformerLens cannot express, and where it is not installed.
    """
    own = _expressible(network)
    hooked_class, config_class = _library()
    hooked = hooked_class(config_class(**_settings(own)))
    hooked.load_state_dict(_weights(own), strict=False)  # its masks are no weights
    return hooked.eval()


def tokens(network: nn.Module, a: Tensor, b: Tensor) -> Tensor:
    """The sequences (B, S) in which a HookedTransformer reads the pairs (a, b)."""
    own = _expressible(network)
    return sequences.tokens(own.config.sequence, a, b, own.tokens)


def _expressible(network: nn.Module) -> Transformer:
    if not isinstance(network, Transformer):
        raise ConfigError(f"TransformerLens takes transformers, but got a {type(network).__name__}")
    for key, values, why in REFUSED:
        if (value := getattr(network.config, key)) in values:
            raise ConfigError(f"TransformerLens cannot express `model.{key}` {value}: {why}")
    if network.matmul_dtype is not None:
        raise ConfigError(
            "TransformerLens cannot express `matmul_precision` bfloat16: it rounds all of a network"
        )
    return network


def _library() -> tuple[Any, Any]:
    try:
        from transformer_lens import HookedTransformer, HookedTransformerConfig
    except ImportError:
        raise ConfigError(
            "TransformerLens with HookedTransformer is not installed; `pip install -r requirements-lens.txt`"
        ) from None
    return HookedTransformer, HookedTransformerConfig


def _settings(network: Transformer) -> dict[str, Any]:
    config: TransformerConfig = network.config
    return {
        "n_layers": config.layers,
        "n_ctx": len(config.symbols),
        "d_model": config.width,
        "n_heads": config.heads,
        "d_head": config.width // config.heads,
        "d_mlp": config.hidden_width,
        "d_vocab": len(network.token),
        "d_vocab_out": len(_readout(network)[0]),
        "act_fn": config.activation,
        "attention_dir": config.attention,
        "normalization_type": NORMS[config.norm_type] if config.norm == "pre" else None,
        "positional_embedding_type": "rotary" if config.positions == "rotary" else "standard",
        "rotary_dim": config.width // config.heads,
        "dtype": network.token.dtype,
        "device": str(network.token.device),
    }


def _weights(network: Transformer) -> dict[str, Tensor]:
    weight_VD, bias_V = _readout(network)
    whole = {
        "embed.W_E": network.token,
        "pos_embed.W_pos": network.position,  # zeros where there are none, and not read where rotary
        "unembed.W_U": weight_VD.T,
        "unembed.b_U": bias_V,
        **_norm("ln_final", network.last_norm),
    }
    for number, block in enumerate(cast("Sequence[Block]", network.blocks)):
        whole |= {f"blocks.{number}.{name}": tensor for name, tensor in _block(block).items()}
    return {name: tensor.detach().clone() for name, tensor in whole.items()}


def _readout(network: Transformer) -> tuple[Tensor, Tensor]:
    """Weight (V, D) and bias (V,) that give the logits, with the scale on them."""
    if network.config.tied_unembedding:
        weight = network.token[: network.tokens]
        bias = weight.new_zeros(len(weight))
    else:
        weight, bias = network.unembedding.weight, network.unembedding.bias
    return network.output_scale * weight, network.output_scale * bias


def _block(block: Block) -> dict[str, Tensor]:
    heads = block.config.heads
    weight_K, weight_V = block.key_value.weight.chunk(2)
    bias_K, bias_V = block.key_value.bias.chunk(2)
    weights = {"Q": block.query.weight, "K": weight_K, "V": weight_V}
    biases = {"Q": block.query.bias, "K": bias_K, "V": bias_V}
    return {
        **{f"attn.W_{name}": weight.unflatten(0, (heads, -1)).mT for name, weight in weights.items()},
        **{f"attn.b_{name}": bias.unflatten(0, (heads, -1)) for name, bias in biases.items()},
        "attn.W_O": block.output.weight.T.unflatten(0, (heads, -1)),
        "attn.b_O": block.output.bias,
        "mlp.W_in": block.up.weight.T,
        "mlp.b_in": block.up.bias,
        "mlp.W_out": block.down.weight.T,
        "mlp.b_out": block.down.bias,
        **_norm("ln1", block.attention_norm),
        **_norm("ln2", block.mlp_norm),
    }


def _norm(name: str, norm: nn.Module) -> dict[str, Tensor]:
    """Gain and, of a LayerNorm, bias; nothing where nothing is normalised."""
    own = {"gain": "w", "bias": "b"}
    return {f"{name}.{own[key]}": parameter for key, parameter in norm.named_parameters()}
