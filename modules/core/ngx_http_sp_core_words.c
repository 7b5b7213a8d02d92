
/*
 * Copyright (C) Sallyport authors
 *
 * The words of the APIs of models: names of members, and types, that a chat
 * request has because its API says so.  They are nobody's text.
 */


#include "ngx_http_sp_core_int.h"


static int ngx_libc_cdecl ngx_http_sp_word_cmp(const void *word,
    const void *entry);


/* sorted */

static const char *const  ngx_http_sp_words[] = {
    "additionalProperties", "allowed_tools", "anyOf", "arguments", "array",
    "audio", "auto", "base64", "boolean",
    "cache_control", "character_id", "chat_id", "citations", "content",
    "custom",
    "data", "default", "description", "detail", "disabled", "document",
    "effort", "enabled", "enum", "ephemeral",
    "file", "file_data", "file_id", "filename", "format",
    "frequency_penalty", "function", "function_call", "functions",
    "id", "image", "image_url", "include_usage", "index", "input",
    "input_audio", "input_schema", "integer", "is_error", "items",
    "json_object", "json_schema",
    "logit_bias", "logprobs",
    "max_completion_tokens", "max_tokens", "media_type", "memory",
    "messages", "metadata", "modalities", "mode", "model",
    "n", "name", "null", "number",
    "object",
    "parallel_tool_calls", "parameters", "parent_id", "prediction",
    "presence_penalty", "prompt_cache_key", "properties",
    "reasoning", "reasoning_content", "reasoning_effort",
    "redacted_thinking", "refusal", "required", "response_format", "role",
    "safety_identifier", "schema", "seed", "service_tier", "signature",
    "source", "stop", "stop_sequences", "store", "stream", "stream_options",
    "strict", "string", "system",
    "temperature", "text", "thinking", "title", "tool", "tool_call_id",
    "tool_calls", "tool_choice", "tool_result", "tool_use", "tool_use_id",
    "tools", "top_k", "top_logprobs", "top_p", "ttl", "type",
    "url", "user", "user_id",
    "verbosity",
    "web_search_options"
};


ngx_uint_t
ngx_http_sp_is_word(const char *word)
{
    return bsearch(word, ngx_http_sp_words,
                   sizeof(ngx_http_sp_words) / sizeof(ngx_http_sp_words[0]),
                   sizeof(ngx_http_sp_words[0]), ngx_http_sp_word_cmp)
           != NULL;
}


static int ngx_libc_cdecl
ngx_http_sp_word_cmp(const void *word, const void *entry)
{
    return ngx_strcmp(word, *(const char *const *) entry);
}
