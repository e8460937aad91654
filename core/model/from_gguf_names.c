#include "core/model/from_gguf_names.h"

#include <stdio.h>
#include <string.h>

/* Without ".weight" and ".bias". %d is the layer. */
static const struct {
    const char *ours;
    int part;
    const char *theirs;
} names[] = {
    {"token", PART_ALL, "token_embd"},
    {"position", PART_ALL, "position_embd"},
    {"layer.%d.norm1", PART_ALL, "blk.%d.attn_norm"},
    {"layer.%d.qkv", PART_ALL, "blk.%d.attn_qkv"},
    {"layer.%d.qkv", PART_Q, "blk.%d.attn_q"},
    {"layer.%d.qkv", PART_K, "blk.%d.attn_k"},
    {"layer.%d.qkv", PART_V, "blk.%d.attn_v"},
    {"layer.%d.q_norm", PART_ALL, "blk.%d.attn_q_norm"},
    {"layer.%d.k_norm", PART_ALL, "blk.%d.attn_k_norm"},
    {"layer.%d.out", PART_ALL, "blk.%d.attn_output"},
    {"layer.%d.norm2", PART_ALL, "blk.%d.ffn_norm"},
    {"layer.%d.up", PART_ALL, "blk.%d.ffn_up"},
    {"layer.%d.up", PART_GATE, "blk.%d.ffn_gate"},
    {"layer.%d.up", PART_UP, "blk.%d.ffn_up"},
    {"layer.%d.down", PART_ALL, "blk.%d.ffn_down"},
    {"norm", PART_ALL, "output_norm"},
    {"head", PART_ALL, "output"},
};

/* The format comes from the table above. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
int gguf_tensor_name(const char *ours, int part, int layer, char name[GGUF_NAME_SIZE]) {
    const char *kind = strrchr(ours, '.');
    size_t len = (size_t)(kind - ours);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].part != part || strlen(names[i].ours) != len || memcmp(names[i].ours, ours, len) != 0)
            continue;
        int n = snprintf(name, GGUF_NAME_SIZE, names[i].theirs, layer);
        snprintf(name + n, GGUF_NAME_SIZE - (size_t)n, "%s", kind);
        return 1;
    }
    return 0;
}
#pragma GCC diagnostic pop
