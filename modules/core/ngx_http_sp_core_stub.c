#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
static ngx_http_module_t ctx;
ngx_module_t ngx_http_sp_core_module = { NGX_MODULE_V1, &ctx, NULL, NGX_HTTP_MODULE, NULL,NULL,NULL,NULL,NULL,NULL,NULL, NGX_MODULE_V1_PADDING };
