#!/usr/bin/perl
# Mail::SPF and Mail::DKIM as peers: JSON lines in, JSON lines out.
#     perl peer.pl
# A line in has kind (spf, dkim, arc), id, records and what the kind needs; a line out id, verdict, said.
use strict;
use warnings;
use JSON::PP;
use Net::DNS;
use Mail::SPF;
use Mail::DKIM::Verifier;
use Mail::DKIM::ARC::Verifier;
use Mail::DKIM::DNS;

# DNS from memory: "name TYPE" -> texts, or "TIMEOUT"; "name" -> a failure of its other types.
package Table;

sub new {
    my ($class, $records) = @_;
    my %folded;
    for my $key (keys %$records) {
        my ($name, $type) = split / /, $key, 2;
        $name = lc $name;
        $name =~ s/\.$//;
        $folded{ defined $type ? "$name $type" : $name } = $records->{$key};
    }
    return bless { records => \%folded, error => 'NOERROR' }, $class;
}

sub errorstring { return $_[0]{error} }

sub find {
    my ($self, $name, $type) = @_;
    return $self->{records}{"$name $type"} // $self->{records}{$name} // [];
}

sub answers {
    my ($self, $name, $type, $depth) = @_;
    my $found = $self->find($name, $type);
    return $found if !ref $found;
    my @rrs;
    for my $text (@$found) {
        my %rest =
              $type eq 'TXT' ? (txtdata => [ unpack('(a255)*', $text) ])
            : $type eq 'MX'  ? do { my ($p, $h) = split / /, $text; (preference => $p, exchange => $h) }
            : $type eq 'PTR'   ? (ptrdname => $text)
            : $type eq 'CNAME' ? (cname    => $text)
            :                    (address  => $text);
        $rest{txtdata} = [''] if $type eq 'TXT' && !length $text;
        push @rrs, Net::DNS::RR->new(owner => $name, type => $type, ttl => 300, %rest);
    }
    if (!@rrs && $type ne 'CNAME' && $depth < 16) {
        my $alias = $self->find($name, 'CNAME');
        if (ref $alias && @$alias) {
            my $target = lc $alias->[0];
            $target =~ s/\.$//;
            my $rest = $self->answers($target, $type, $depth + 1);
            return $rest if !ref $rest;
            @rrs = (Net::DNS::RR->new(owner => $name, type => 'CNAME', ttl => 300, cname => $target), @$rest);
        }
    }
    return \@rrs;
}

sub send {
    my ($self, $name, $type) = @_;
    $name = lc $name;
    $name =~ s/\.$//;
    my $found = $self->answers($name, $type, 0);
    if (!ref $found && $found eq 'TIMEOUT') {
        $self->{error} = 'query timed out';
        return undef;
    }
    # A name of macros may be one that Net::DNS cannot write; nobody looks at the question.
    my $packet = Net::DNS::Packet->new('x.example', $type);
    $packet->header->qr(1);
    $packet->header->rcode(ref $found ? (@$found || grep { /^\Q$name\E( |$)/ } keys %{ $self->{records} }) ? 'NOERROR' : 'NXDOMAIN' : 'SERVFAIL');
    $packet->push(answer => @$found) if ref $found;
    $self->{error} = $packet->header->rcode;
    return $packet;
}

sub query { my $self = shift; return $self->send(@_) }

package main;

sub spf {
    my ($case, $table) = @_;
    my $server = Mail::SPF::Server->new(
        dns_resolver   => $table,
        hostname       => 'receiver.example',
        default_authority_explanation => '',
        query_rr_types => Mail::SPF::Server->query_rr_type_txt,
    );
    my $null = $case->{mail_from} eq '';
    my $request = Mail::SPF::Request->new(
        versions      => [1],
        scope         => $null ? 'helo' : 'mfrom',
        identity      => $null ? $case->{helo} : $case->{mail_from},
        ip_address    => $case->{ip},
        helo_identity => $case->{helo},
    );
    my $result = $server->process($request);
    my $code = lc $result->code;
    my $said = '';
    if ($code eq 'fail') {
        $said = '' . ($result->authority_explanation // '');
        $said =~ s/^\s+|\s+$//g;
        $said = lc $said;
        $said =~ s/\s+/ /g;
    }
    return ($said ne '' ? "$code $said" : $code, "" . $result->local_explanation);
}

sub message_into {
    my ($verifier, $message) = @_;
    $verifier->PRINT($message);
    $verifier->CLOSE;
}

sub dkim {
    my ($case) = @_;
    my $verifier = Mail::DKIM::Verifier->new();
    message_into($verifier, $case->{message});
    my @signatures = grep { !$_->isa('Mail::DKIM::DkSignature') } $verifier->signatures;
    my @verdicts = map { ($_->result // '') eq 'pass' ? 'pass' : 'other' } @signatures;
    my $said = join '; ', map { $_->result_detail // '' } @signatures;
    return (@verdicts ? join(' ', @verdicts) : 'none', $said || ($verifier->result_detail // ''));
}

sub arc {
    my ($case) = @_;
    my $verifier = Mail::DKIM::ARC::Verifier->new();
    message_into($verifier, $case->{message});
    my $result = $verifier->result // 'none';
    return ($result =~ /^(pass|none)$/ ? $result : 'fail', $verifier->result_detail // '');
}

my %peers = (spf => \&spf, dkim => \&dkim, arc => \&arc);
my $json = JSON::PP->new->latin1;
my $plain = JSON::PP->new->ascii;
$| = 1;
while (my $line = <STDIN>) {
    my $case  = $plain->decode($line);
    my $table = Table->new($case->{records});
    Mail::DKIM::DNS::resolver($table);
    my ($verdict, $said);
    my $done = eval { ($verdict, $said) = $peers{ $case->{kind} }->($case, $table); 1 };
    ($verdict, $said) = ('crash', "$@") if !$done;
    $said =~ s/\s+/ /g;
    print $plain->encode({ id => $case->{id}, verdict => $verdict, said => $said }), "\n";
}
