package Sallyport::Provider;

=head1 NAME

Provider - a fake OpenAI server with faults, for the tests of the LLM leg

=head1 SYNOPSIS

    use lib 't/lib';
    use Sallyport::Provider;

    my $p = Sallyport::Provider->new($t->port(1), $t->dir);   # or a unix socket's path
    ...
    my $request = $p->last_request;                # {headers, json, n, conn}
    ok $p->wait_event('closed', $request->{n});    # the gateway hung up
    $p->stop;
    $p->mood('first' => 'status code=500', '* sk-b' => 'stall at=accept');
                                  # for a model, with a key; until the next one

Below /messages it speaks Anthropic's API (Sallyport::Anthropic), with tools,
think, stop, pause and refuse beside the faults that are not of chat completions.
Below /say/ it speaks the dialect of t/modules/dialect_probe instead, with the
faults bytes, crlf, cut, error, garbage, short, tool, status and type.

As Google's own API it speaks as Sallyport::Gemini says.

What it does is told by the last user message: "fault NAME key=value ...".
With model=NAME it is for requests of that model, with after=MS it begins so
late.
Anything else is answered properly: with the words of "words=N" or a fixed
sentence, as a stream when the request asks for one.

    bytes         every byte of the body is a packet of its own
    split         chunks=N: so many bytes in each, cut anywhere; with others, too
    crlf, cr      line ends of the stream
    comments      keepalive comments between events
    interim       100 Continue first
    length        a stream with a Content-Length
    close         a stream that ends with the connection
    no_blank      [DONE] without the blank line, then the end
    hold          [DONE], but the connection stays open
    slow          delay=MS between events
    stall         at=accept|header|mid: nothing more is sent
    cut           at=header|mid: the connection is closed
    short         a stream without [DONE]; finish=N: choices that are told to
                  be complete (all); end=cut: not even the body ends;
                  end=half: within the event that would follow; end=line:
                  without the blank line
    error         an error event in the stream, at=N behind others, or an
                  error with status 200
    garbage       an event that is not JSON, at=N
    big           size=N: one event of so many bytes; lines=1: in two lines;
                  last=1: with the finish reason and usage, and nothing
                  behind it; cut=1: the connection ends in it; error=1: it is
                  an error as well
    usage         usage in every chunk, running totals
    nousage       never any usage
    type          type=T: another content type
    gzip          a compressed answer
    status        code=N retry=S ms=MS should=B: an error (chunked, bytes, gzip=1),
                  with type=, param= and error=, its code
    header        a broken header line
    noise         a broken chunk size
    tool          a tool call (dialect "say"); two at once, with reasoning
                  before them, and behind their results the words (OpenAI)
    tools         two calls behind the text, the second without arguments; when
                  their results are there, the words are these
    see           says what images it was sent: their type, their base64
    think         reasoning before the text
    echo          says the other lines of the message, size=N characters at a
                  time, as field=content, reasoning_content, refusal or
                  tool_calls; with n=N in the request each choice its own, a
                  line "--" is between them
    raw           the other lines of the message as they are: each is an event
                  of the stream, delay=MS between them, all of them a whole
                  answer; end=stall: then nothing; length=0: none is told
    stale         no answer, the end on a connection that was used before
                  (always=1: on a fresh one, too)

=cut

use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP;
use MIME::Base64;
use POSIX ();
use Sallyport::Anthropic;
use Sallyport::Form;
use Sallyport::Gemini;
use Sallyport::Media;
use Sallyport::Mood;
use Sallyport::Words qw(words pieces echoes saying calls two_calls call_pieces
                        usage);
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(sleep time);


my $json = JSON::PP->new->canonical->latin1;

my $mood_file;          # of the server's own process

our $secret = 'account acct-7788 is over its limit';


# -- for the test

sub new {
    my ($class, $where, $dir) = @_;

    my $self = bless { log => "$dir/provider.log", owner => $$,
                       mood => "$dir/provider.mood" }, $class;

    my $listen = $where =~ m{^/}
        ? IO::Socket::UNIX->new(Local => $where, Listen => 128)
        : IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 128,
                                LocalPort => $where, ReuseAddr => 1);

    $listen or die "cannot listen on $where: $!\n";
    chmod 0666, $where if $where =~ m{^/};

    open my $log, '>', $self->{log} or die "$self->{log}: $!\n";
    $log->autoflush;

    $self->{pid} = fork;
    die "cannot fork: $!\n" unless defined $self->{pid};

    if ($self->{pid} == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        $SIG{PIPE} = 'IGNORE';

        $mood_file = $self->{mood};
        eval { serve($listen, $log); 1 } or print {$log} encode_json(
            { event => 'died', reason => "$@" }), "\n";
        POSIX::_exit(1);
    }

    return $self;
}


sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid} or return;
    return unless $self->{owner} == $$;

    local $?;
    kill 'TERM', $pid;
    waitpid $pid, 0;
    return;
}

sub DESTROY { $_[0]->stop }


# what the provider saw: {event => request|closed|sent, n, conn, ...}

sub events {
    my ($self, $event) = @_;

    open my $fh, '<', $self->{log} or die "$self->{log}: $!\n";
    my @all = map { $json->decode($_) } grep { /\n$/ } <$fh>;

    die "the provider died: $_->{reason}\n"
        for grep { $_->{event} eq 'died' } @all;

    return grep { !$event || $_->{event} eq $event } @all;
}


sub mood { my ($self, @rules) = @_; return Sallyport::Mood::set($self->{mood}, @rules) }


sub requests { return $_[0]->events('request') }

sub last_request { return ($_[0]->requests)[-1] }


# waits for an event of request n; the seconds it took, or undef

sub wait_event {
    my ($self, $event, $n, $timeout) = @_;

    my $start = time;

    do {
        return time - $start || 1e-6
            if grep { $_->{n} == $n } $self->events($event);
        sleep 0.005;    # waits: a poll of the log
    } while time - $start < ($timeout || 5);

    return undef;
}


# -- the server

my (%conn, $select, $log_fh, $requests, $connections);


sub note {
    my (%event) = @_;
    print {$log_fh} $json->encode({ %event, at => time }), "\n";
    return;
}


sub serve {
    my ($listen, $log) = @_;

    $select = IO::Select->new($listen);
    $log_fh = $log;
    $requests = $connections = 0;

    for ( ;; ) {
        my $timeout = next_timer();

        for my $fh ($select->can_read($timeout)) {
            if ($fh == $listen) {
                my $c = $listen->accept or next;

                $c->blocking(1);
                setsockopt $c, IPPROTO_TCP, TCP_NODELAY, 1
                    if $c->isa('IO::Socket::INET');

                $conn{fileno $c} = { fh => $c, id => ++$connections,
                                     in => '', plan => [], due => 0 };
                $select->add($c);
                next;
            }

            receive($conn{fileno $fh});
        }

        run_plans();
    }
}


sub next_timer {
    my $next;

    for my $c (grep { @{ $_->{plan} } } values %conn) {
        $next = $c->{due} if !defined $next || $c->{due} < $next;
    }

    return undef unless defined $next;
    return $next > time ? $next - time : 0;
}


sub drop {
    my ($c, $event) = @_;

    note(event => $event, n => $c->{n}, conn => $c->{id}) if $c->{n};

    $select->remove($c->{fh});
    delete $conn{fileno $c->{fh}};
    close $c->{fh};
    return;
}


sub receive {
    my ($c) = @_;

    my $n = sysread $c->{fh}, my $buf, 65536;

    # "closed": while an answer was still to come; "idle": after it
    return drop($c, $c->{busy} ? 'closed' : 'idle') unless $n;

    $c->{in} .= $buf;

    # a body of megabytes comes in hundreds of reads: each looks at its head
    # only, a match would copy all that has come so far

    while (!$c->{busy}
           && (my $end = index $c->{in}, "\r\n\r\n") >= 0) {
        my $head = substr $c->{in}, 0, $end;
        my ($line, @lines) = split /\r\n/, $head;
        my %headers = map { /^([^:]+):\s*(.*)$/ ? (lc $1 => $2) : () } @lines;
        my $length = $headers{'content-length'} || 0;

        last if length($c->{in}) < length($head) + 4 + $length;

        my $body = substr $c->{in}, length($head) + 4, $length;
        substr $c->{in}, 0, length($head) + 4 + $length, '';

        $c->{n} = ++$requests;
        $c->{busy} = 1;

        # of a large body only what it is: the fake has no time to parse it

        my $form = Sallyport::Form::decode($headers{'content-type'} // '', $body);

        my $request = $form ? $form : length $body > 1_000_000
            ? { large => length $body, sha256 => sha256_hex($body),
                url => sha256_hex($body =~ m{"(data:[^"]*)"} ? $1 : '') }
            : eval { $json->decode($body) };

        note(event => 'request', n => $c->{n}, conn => $c->{id},
             line => $line, headers => \%headers, json => $request);

        $c->{plan} = [ plan($line, $request || {}, $c->{used}++,
                            Sallyport::Mood::fault($mood_file, $request, \%headers)) ];
        $c->{due} = time;
    }

    return;
}


# a plan is a list of bytes to send, {wait => s}, {stall}, {close}, {done}

sub run_plans {
    CONN:
    for my $c (values %conn) {
        while (@{ $c->{plan} } && $c->{due} <= time) {
            my $step = shift @{ $c->{plan} };

            if (!ref $step) {
                my $n = syswrite $c->{fh}, $step;

                if (!defined $n) {
                    drop($c, 'closed');
                    next CONN;
                }

            } elsif ($step->{wait}) {
                $c->{due} = time + $step->{wait};

            } elsif ($step->{stall}) {
                note(event => 'stalled', n => $c->{n}, conn => $c->{id});

            } elsif ($step->{close}) {
                drop($c, 'sent');
                next CONN;

            } elsif ($step->{done}) {
                note(event => 'sent', n => $c->{n}, conn => $c->{id});
                $c->{busy} = 0;
            }
        }
    }

    return;
}


# -- answers

sub plan {
    my ($line, $request, $used, $mood) = @_;

    my ($name, %arg) = wanted($line, $request, $mood);

    return $arg{after} ? { wait => $arg{after} / 1000 } : (),
           answer($line, $request, $used, $name, %arg);
}


sub is_gemini { $_[0] =~ /:\w+Contents?\W/ }


# what the last user message asks for

sub wanted {
    my ($line, $request, $mood) = @_;

    my $user = '';

    for my $message (@{ $request->{messages} || [] }) {
        next if $message->{role} ne 'user';

        my $content = $message->{content};
        my @texts = ref $content ? grep { defined } map { $_->{text} } @$content
                                 : $content;

        $user = $texts[-1] if @texts;
    }

    $request->{messages_api} = ($line =~ m{/messages });

    for my $turn (@{ $request->{talk} || [] }) {
        $user = $turn->{says} if $turn->{who} eq 'user';
    }

    my ($name, %arg) = ('');

    $user = Sallyport::Gemini::asked($request) // '' if is_gemini($line);
    $user = Sallyport::Media::asked($request) if Sallyport::Media::is_media($line);
    $user = "fault $mood" if defined $mood;

    if ($user =~ /^fault (\w+)(.*)/) {
        $name = $1;
        %arg = map { /(.*?)=(.*)/ } split ' ', $2;

        $arg{text} = $1 if $name =~ /^(?:echo|raw)$/ && $user =~ /\n(.*)/s;

        $arg{text} = Sallyport::Words::images($request) if $name eq 'see';

        my @results = $name eq 'tools' ? Sallyport::Words::results($request)
                                       : ();

        ($name, %arg) = ('', text => join('|', @results), size => 3)
            if @results;

        # of one model only: another one answers properly
        ($name, %arg) = ('') if defined $arg{model}
                                && $arg{model} ne ($request->{model} || '');
    }

    return $name, %arg;
}


sub answer {
    my ($line, $request, $used, $name, %arg) = @_;

    return embeddings($request) if $line =~ m{/embeddings[ ?]};

    return Sallyport::Gemini::plan($line, $request, $name, %arg)
        if is_gemini($line) && $name !~ /^(?:header|stale|gzip|type)$/;

    if ($name eq 'status') {
        return status_plan(%arg);
    }

    if ($name eq 'header') {
        return "HTTP/1.1 200 OK\r\nContent-Type application/json\0\r\n\r\n",
               { close => 1 };
    }

    if ($name eq 'stall' && ($arg{at} || '') eq 'accept') {
        return { stall => 1 };
    }

    if ($name eq 'stale' && ($used || $arg{always})) {
        return { close => 1 };
    }

    if ($name eq 'gzip') {
        return head(200, 'application/json', "Content-Encoding: gzip\r\n"
                    . "Content-Length: 4\r\n"), "\x1f\x8b\x08\x00",
               { done => 1 };
    }

    return Sallyport::Media::plan($line, $request, $name, %arg)
        if Sallyport::Media::is_media($line);

    if ($name eq 'type') {
        my $body = '<html>maintenance</html>';
        return head(200, $arg{type} || 'text/html', 'Content-Length: '
                    . length($body) . "\r\n"), $body, { done => 1 };
    }

    return say_plan($request, $name, %arg) if $line =~ m{/say/};

    return $request->{stream} ? stream_plan($request, $name, %arg)
                              : complete_plan($request, $name, %arg);
}


# the dialect "say": lines of JSON, or one object

sub say_plan {
    my ($request, $name, %arg) = @_;

    my @words = words(%arg);
    my %end = (why => $name eq 'tool' ? 'call' : 'done', in => 7,
               out => scalar @words);
    my %call = (call => 'weather', with => { at => "\x{c3}\x{a9} \"x\"" });

    if (!$request->{live}) {
        my $body = $json->encode({ said => join('', @words), end => \%end,
                                   $name eq 'tool' ? %call : () });

        $body = $json->encode({ oops => $secret }) if $name eq 'error';

        return head(200, 'application/say', 'Content-Length: '
                    . length($body) . "\r\n"), $body, { done => 1 };
    }

    my @events = map { { say => $_ } } @words;

    push @events, \%call, { call => 'time', with => [] } if $name eq 'tool';
    push @events, { end => \%end } if $name ne 'short';

    splice @events, $arg{at} // 2, 0, { oops => $secret } if $name eq 'error';

    my $eol = $name eq 'crlf' ? "\r\n\r\n" : "\n";
    my @lines = map { $json->encode($_) . $eol } @events;

    splice @lines, 2, 0, "no JSON\n" if $name eq 'garbage';
    @lines = map { split // } @lines if $name eq 'bytes';

    my $head = head(200, 'application/x-ndjson',
                    "Transfer-Encoding: chunked\r\n");
    my @chunks = map { chunk($_), { wait => 0.001 } } @lines;

    return $head, @chunks[0 .. 4], { close => 1 } if $name eq 'cut';
    return $head, @chunks, "0\r\n\r\n", { done => 1 };
}


sub head {
    my ($status, $type, $more) = @_;
    return "HTTP/1.1 $status X\r\nContent-Type: $type\r\n"
           . "x-request-id: theirs\r\nSet-Cookie: account=1\r\n"
           . "X-Accel-Redirect: /secret\r\n"
           . "x-ratelimit-remaining-tokens: 5\r\n$more\r\n";
}


sub chunk { return sprintf "%x\r\n%s\r\n", length $_[0], $_[0] }


sub status_plan {
    my (%arg) = @_;

    my $code = $arg{code} || 500;
    my $body = $json->encode({ type => 'error', error => {
        message => defined $arg{message} ? $arg{message} =~ s/_/ /gr
                   : $code == 400 ? "Unsupported value: \x{c3}\x{a9}" : $secret,
        type => $arg{type} || 'invalid_request_error',
        param => $arg{param}, code => $arg{error} } });

    my $more = defined $arg{retry} ? "Retry-After: $arg{retry}\r\n" : '';

    $more =~ s/_/ /g;
    $more .= "retry-after-ms: $arg{ms}\r\n" if defined $arg{ms};
    $more .= "x-should-retry: $arg{should}\r\n" if defined $arg{should};

    if ($arg{gzip}) {
        $more .= "Content-Encoding: gzip\r\n";
        $body = "\x1f\x8b\x08\x00acct-7788";
    }

    my @body = $arg{chunked} ? (chunk(substr $body, 0, 20),
                                chunk(substr $body, 20), "0\r\n\r\n")
                             : ($body);

    $more .= $arg{chunked} ? "Transfer-Encoding: chunked\r\n"
                           : 'Content-Length: ' . length($body) . "\r\n";

    @body = split //, join '', @body if $arg{bytes};

    return head($code, 'application/json', $more), @body, { done => 1 };
}


sub embeddings {
    my ($request) = @_;

    my $vector = ($request->{encoding_format} || '') eq 'base64'
                 ? encode_base64(pack('f<*', 0.5, -0.5), '') : [ 0.5, -0.5 ];

    my $body = $json->encode({ object => 'list', model => $request->{model},
        data => [ { object => 'embedding', index => 0,
                    embedding => $vector } ],
        usage => { prompt_tokens => 3, total_tokens => 3 } });

    return head(200, 'application/json', 'Content-Length: '
                . length($body) . "\r\n"), $body, { done => 1 };
}


sub complete_plan {
    my ($request, $name, %arg) = @_;

    my @words = words(%arg);
    my $reply = {
        id => 'chatcmpl-fake', object => 'chat.completion', created => 1,
        model => $request->{model},
        choices => [ { index => 0, finish_reason => 'stop', message =>
                       { role => 'assistant', content => join '', @words } }
                   ],
        usage => usage(scalar @words),
    };

    if ($name eq 'echo') {
        my $choice = 0;

        $reply->{choices} = [ map { { index => $choice++,
            finish_reason => 'stop', message => { role => 'assistant',
            content => undef, %{ saying($arg{field}, $_) } } } }
            split /\n--\n/, $arg{text} ];
    }

    if ($name eq 'tool' and my ($thought, @calls) = calls($request)) {
        $reply->{choices}[0] = { index => 0, finish_reason => 'tool_calls',
            message => { role => 'assistant', content => undef, %$thought,
                tool_calls => [ map { @{ $_->{tool_calls} } } @calls ] } };
    }
    @{ $reply->{choices}[0] }{qw(finish_reason message)} =
        ('tool_calls', { role => 'assistant', content => join('', @words),
                         tool_calls => two_calls() }) if $name eq 'tools';
    $reply->{choices}[0]{message}{reasoning_content} = 'Let me think.'
        if $name eq 'think';

    delete $reply->{usage} if $name eq 'nousage';
    $reply = { error => { message => $secret } } if $name eq 'error';

    $reply = Sallyport::Anthropic::reply($request, $name, $secret, @words)
        if $request->{messages_api};

    my $body = $name eq 'garbage' ? 'not JSON'
             : $name eq 'raw' ? $arg{text} : $json->encode($reply);
    my $length = 'Content-Length: ' . length($body) . "\r\n";
    my $half = int(length($body) / 2);

    return head(200, 'application/json', "Transfer-Encoding: chunked\r\n"),
           (map { (chunk($_), { wait => 0.001 }) }
                unpack "(a$arg{chunks})*", $body), "0\r\n\r\n", { done => 1 }
        if $arg{chunks};

    return { wait => ($arg{delay} || 1) / 1000 },
           head(200, 'application/json', $length), $body, { done => 1 }
        if $name eq 'slow';

    return head(200, 'application/json', $length), { stall => 1 }
        if $name eq 'stall' && $arg{at} eq 'header';

    return head(200, 'application/json', $length), substr($body, 0, $half),
           { stall => 1 } if $name eq 'stall';

    return head(200, 'application/json', $length), { close => 1 }
        if $name eq 'cut' && $arg{at} eq 'header';

    return head(200, 'application/json', $length), substr($body, 0, $half),
           { close => 1 } if $name eq 'cut';

    return head(200, 'application/json', "Connection: close\r\n"), $body,
           { close => 1 } if $name eq 'close' || exists $arg{length};

    my @chunks = $name eq 'bytes'
        ? (head(200, 'application/json', "Transfer-Encoding: chunked\r\n"),
           (map { split //, chunk($_) } split //, $body), "0\r\n\r\n")
        : (head(200, 'application/json', $length), $body);

    unshift @chunks, "HTTP/1.1 100 Continue\r\n\r\n" if $name eq 'interim';

    return @chunks, { done => 1 };
}


sub stream_events {
    my ($request, $name, %arg) = @_;

    return split /\n/, $arg{text} if $name eq 'raw';

    my @words = words(%arg);
    my $asked = ($request->{stream_options} || {})->{include_usage};
    my %base = (id => 'chatcmpl-fake', object => 'chat.completion.chunk',
                created => 1, model => $request->{model});
    my @events;

    my @calls = $name eq 'tool' ? calls($request) : ();

    my @said = @calls ? map { [ 0, $_ ] } @calls
             : $name eq 'echo'
               ? map { [ $_->[0], saying($arg{field}, $_->[1]) ] } echoes(%arg)
               : map { [ 0, { content => $_ } ] } @words;

    push @said, map { [ 0, $_ ] } call_pieces() if $name eq 'tools';
    unshift @said, map { [ 0, { reasoning_content => $_ } ] }
                   'Let me ', 'think.' if $name eq 'think';

    for my $said ([ 0, { role => 'assistant', content => '' } ], @said) {
        my %chunk = (%base, choices => [ { index => $said->[0],
            delta => $said->[1], finish_reason => undef } ]);

        $chunk{usage} = undef if $asked;
        $chunk{usage} = usage(scalar @events) if $name eq 'usage';
        push @events, $json->encode(\%chunk);
    }

    my $big = $json->encode({ %base, choices => [ { index => 0,
        finish_reason => $arg{last} ? 'stop' : undef,
        delta => { content => 'BIG' } } ],
        $arg{error} ? (error => { message => $secret }) : (),
        $arg{last} ? (usage => usage(77)) : () }) if $name eq 'big';

    if ($name eq 'big') {
        $big =~ s/,/,\ndata: / if $arg{lines};

        # not by the encoder, which looks at each character
        $big =~ s/BIG/'x' x ($arg{size} || 1)/e;
    }

    return @events, $big if $arg{last};

    splice @events, 2, 0, $big if $name eq 'big';

    my $finish = defined $arg{finish} ? $arg{finish} : $request->{n} || 1;

    push @events, $json->encode({ %base, choices => [ { index => $_,
        delta => {}, finish_reason => @calls || $name eq 'tools'
                                      ? 'tool_calls' : 'stop' } ] })
        for 0 .. $finish - 1;

    push @events, $json->encode({ %base, choices => [],
                                  usage => usage(scalar @words) })
        if $asked && $name ne 'nousage';

    splice @events, $arg{at} // 3, 0, $json->encode({ error => { message => $secret,
        type => 'server_error' } }) if $name eq 'error';

    splice @events, $arg{at} // 3, 0, 'not JSON' if $name eq 'garbage';

    push @events, '[DONE]' unless $name eq 'short';

    return @events;
}


sub stream_plan {
    my ($request, $name, %arg) = @_;

    my $eol = $name eq 'crlf' ? "\r\n" : $name eq 'cr' ? "\r" : "\n";
    my @events = $request->{messages_api}
        ? Sallyport::Anthropic::events($request, $name, $eol, $secret,
                                       [ words(%arg) ], %arg)
        : map { "data: $_$eol$eol" } stream_events($request, $name, %arg);

    @events = map { ($_, ": ping\n\n") } @events if $name eq 'comments';

    if ($name eq 'no_blank') {
        $events[-1] =~ s/\n\n/\n/;
    }

    if (($arg{end} || '') eq 'line') {
        $events[-1] =~ s/\n\n/\n/;
    }

    if (($arg{end} || '') eq 'half') {
        push @events, 'data: {"id":"chatcmpl-fake","choi';
    }

    my $type = 'text/event-stream; charset=utf-8';

    if ($name eq 'length') {
        my $body = join '', @events;
        return head(200, $type, 'Content-Length: ' . length($body) . "\r\n"),
               $body, { done => 1 };
    }

    return head(200, $type, "Connection: close\r\n"), @events, { close => 1 }
        if $name eq 'close';

    my $head = head(200, $type, "Transfer-Encoding: chunked\r\n");

    # the end of the header and the first event are packets of their own
    my @pause = ({ wait => ($arg{delay} || 1) / 1000 });
    @events = unpack "(a$arg{chunks})*", join '', @events
        if $arg{chunks} && $name ne 'bytes';
    my @chunks = map { (chunk($_), @pause) } @events;

    return $head, { stall => 1 } if $name eq 'stall' && $arg{at} eq 'header';
    return $head, @pause, { close => 1 }
        if $name eq 'cut' && $arg{at} eq 'header';

    return $head, @chunks, ($arg{end} || '') eq 'stall'
        ? { stall => 1 } : ("0\r\n\r\n", { done => 1 }) if $name eq 'raw';

    # in the middle of an event
    my @half = (@chunks[0 .. 5],
                chunk(substr $events[3], 0, length($events[3]) / 2));

    return $head, @chunks[0 .. 3], chunk(substr $events[2], 0, $arg{size}),
           { close => 1 } if $arg{cut};

    return $head, @half, { stall => 1 } if $name eq 'stall';
    return $head, @half, @pause, { close => 1 } if $name eq 'cut';
    return $head, @half, "xyz\r\n", @pause, { stall => 1 }
        if $name eq 'noise';
    return $head, @chunks, { stall => 1 } if $name eq 'hold';
    return $head, @chunks, { close => 1 } if ($arg{end} || '') eq 'cut';

    @chunks = map { ref $_ ? () : split //, $_ } @chunks if $name eq 'bytes';
    @chunks = map { split //, chunk($_) } split //, join('', @events)
        if $name eq 'bytes' && $arg{chunks};

    return (($name eq 'interim' ? "HTTP/1.1 100 Continue\r\n\r\n" : ()),
            $head, @chunks, "0\r\n\r\n", { done => 1 });
}


1;
