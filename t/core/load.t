#!/usr/bin/perl

# The order of load_module lines: a plugin before the core is refused with a
# sentence; among plugins it does not matter.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Test;
use Test::More;


my $t = Sallyport::Test->new;
my $dir = $t->{modules};

plan skip_all => 'a static build has no order' if $dir eq '';

my $core = "$dir/ngx_http_sp_core_module.so";
my @plugins = grep { $_ ne $core }
              sort glob "$dir/ngx_http_{sp,test}_*_module.so";

@plugins = grep { !m{/ngx_http_test_io_module} } @plugins;
cmp_ok(scalar @plugins, '>', 0, 'there are plugins');

for my $plugin (@plugins) {
    my ($name) = $plugin =~ m{/([^/]+)\.so$};

    my ($ok, $out) = $t->check_conf("load_module $plugin;\n"
        . "load_module $core;\n%%GLOBALS%%\nevents { }\nhttp { }\n");

    ok(!$ok, "$name before the core is refused");
    like($out, qr/undefined symbol: load_ngx_http_sp_core_module_before_its_plugins/,
         'with a sentence');
}

for my $order (\@plugins, [ reverse @plugins ]) {
    my ($ok, $out) = $t->check_conf(
        join('', map { "load_module $_;\n" } $core, @$order)
        . "%%GLOBALS%%\nevents { }\nhttp { %%HTTP%%\n }\n");

    ok($ok, 'after the core in any order') or diag($out);
}

my ($ok, $out) = $t->check_conf("%%LOAD%%\n%%GLOBALS%%\nevents { }\n"
    . "http { %%HTTP%%\ntest_abi;\n }\n");

ok(!$ok, 'a plugin of another ABI is refused');
like($out, qr/step "test_old" was built for ABI \d+ of ngx_http_sp_core_module, this one has ABI \d+: build the plugin and the core from one source in .*:\d+/,
     'with both numbers and what to do');

# the number is a hash of the public headers
my $tree = $t->dir . '/tree';

system("mkdir -p $tree && cd $Sallyport::Test::top/modules"
       . " && cp -r abi core relay work io lib $tree") == 0 or die;

my $first = abi();
my ($private) = glob "$tree/core/*_int.h";

append($private);
is(abi(), $first, 'a private header does not count');

for my $header (map { "$tree/$_" } qw(core/ngx_http_sp_core_step.h
                                      io/ngx_sp_op.h lib/sp_chat.h))
{
    my $before = abi();

    append($header);
    isnt(abi(), $before, "$header does");
}

$t->finish;
done_testing;


sub abi {
    system("$tree/abi", "$tree/abi.h") == 0 or die;
    return Sallyport::Test::slurp("$tree/abi.h");
}


sub append {
    my ($path) = @_;
    open my $file, '>>', $path or die "$path: $!\n";
    print $file "\n";
    close $file or die "$path: $!\n";
    return;
}
