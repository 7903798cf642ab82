# The verdict for a From domain many times with Mail::DMARC, DNS from memory; prints CPU microseconds per verdict.
#
#     perl mail_dmarc.pl AUTHOR SIGNER RECORD COUNT ROUNDS new|kept
#
# new: an object for each message, as its manual shows; kept: one object for all, cleared by init().
use strict;
use warnings;
use Mail::DMARC::PurePerl;
use Net::DNS;
use Time::HiRes qw(clock_gettime CLOCK_PROCESS_CPUTIME_ID);

# A resolver that knows one record, and that the domains exist.
package Table;
sub new { my ($class, %answers) = @_; return bless {%answers}, $class }
sub send { my ($self, $name, $type) = @_; return $self->{"$name $type"} || $self->{''} }
sub query { my ($self, $name, $type) = @_; return $self->{"$name $type"} || ($type eq 'MX' ? $self->{MX} : undef) }

package main;

my ($author, $signer, $record, $count, $rounds, $way) = @ARGV;

sub packet {
    my $packet = Net::DNS::Packet->new;
    $packet->push(answer => Net::DNS::RR->new($_)) for @_;
    return $packet;
}

my $table = Table->new(
    '_dmarc.example.com TXT' => packet(qq{_dmarc.example.com. 60 IN TXT "$record"}),
    MX => packet('example.com. 60 IN MX 10 mx.example.com.'),
    '' => packet(),
);
my $dmarc = Mail::DMARC::PurePerl->new;
$dmarc->set_resolver($table);
my $best = 1e18;
for my $round (1 .. $rounds) {
    my $start = clock_gettime(CLOCK_PROCESS_CPUTIME_ID);
    for (1 .. $count) {
        if ($way eq 'new') {
            $dmarc = Mail::DMARC::PurePerl->new;
            $dmarc->set_resolver($table);
        } else {
            $dmarc->init;
        }
        $dmarc->header_from($author);
        $dmarc->dkim([{ domain => $signer, selector => 's', result => 'pass' }]);
        $dmarc->spf([{ scope => 'mfrom', domain => 'bounce.example.net', result => 'fail' }]);
        my $result = $dmarc->validate;
        my $wanted = $signer =~ /example\.com$/ ? 'pass' : 'fail';
        die $result->result . ", not $wanted" if $result->result ne $wanted;
    }
    my $spent = (clock_gettime(CLOCK_PROCESS_CPUTIME_ID) - $start) / $count * 1e6;
    $best = $spent if $spent < $best;
}
printf "%.2f\n", $best;
